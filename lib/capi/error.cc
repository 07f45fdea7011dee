#include <cerrno>
#include <new>

#include "capi/handles.h"
#include "varve/text.h"

namespace varve::capi {
namespace {

static_assert(VARVE_CORRUPT == -static_cast<int>(Errc::corrupt) && VARVE_UNSUPPORTED == -static_cast<int>(Errc::unsupported) &&
              VARVE_INVALID_ARGUMENT == -static_cast<int>(Errc::invalid_argument) && VARVE_IO == -static_cast<int>(Errc::io) &&
              VARVE_NO_SPACE == -static_cast<int>(Errc::no_space) && VARVE_LOCKED == -static_cast<int>(Errc::locked) &&
              VARVE_NOT_FOUND == -static_cast<int>(Errc::not_found) && VARVE_EXISTS == -static_cast<int>(Errc::exists) &&
              VARVE_PERMISSION == -static_cast<int>(Errc::permission) && VARVE_AUTHENTICATION == -static_cast<int>(Errc::authentication) &&
              VARVE_LIMIT == -static_cast<int>(Errc::limit) && VARVE_CANCELLED == -static_cast<int>(Errc::cancelled));

int told(varve_error** error, int code, const char* message) {
  if (error != nullptr) *error = new (std::nothrow) varve_error{code, message, {}, {}, {}};
  return code;
}

int told(varve_error** error, const Error& thrown) {
  const int code = -static_cast<int>(thrown.code());
  if (error != nullptr)
    *error =
        std::make_unique<varve_error>(varve_error{code, thrown.what(), thrown.path(), thrown.offset(), thrown.disk_offset()}).release();
  return code;
}

int report_or_throw(const std::exception_ptr& thrown, varve_error** error) {
  try {
    std::rethrow_exception(thrown);
  } catch (const Error& e) {
    return told(error, e);
  } catch (const std::bad_alloc&) {
    return told(error, VARVE_NO_MEMORY, "there is not enough memory");
  } catch (const std::exception& e) {
    return told(error, VARVE_INTERNAL, e.what());
  } catch (...) {
    return told(error, VARVE_INTERNAL, "an unknown fault");
  }
}

}  // namespace

int report(const std::exception_ptr& thrown, varve_error** error) noexcept {
  try {
    return report_or_throw(thrown, error);
  } catch (...) {  // no memory for the object that would tell
    return VARVE_NO_MEMORY;
  }
}

}  // namespace varve::capi

const char* varve_code_name(int code) {
  switch (code) {
    case VARVE_OK: return "ok";
    case VARVE_NO_MEMORY: return "no_memory";
    case VARVE_AGAIN: return "again";
    case VARVE_INTERNAL: return "internal";
    default: return varve::errc_name(static_cast<varve::Errc>(-code)).data();
  }
}

int varve_code_errno(int code) {
  switch (code) {
    case VARVE_OK: return 0;
    case VARVE_UNSUPPORTED: return ENOTSUP;
    case VARVE_INVALID_ARGUMENT: return EINVAL;
    case VARVE_NO_SPACE: return ENOSPC;
    case VARVE_LOCKED: return EBUSY;
    case VARVE_NOT_FOUND: return ENOENT;
    case VARVE_EXISTS: return EEXIST;
    case VARVE_PERMISSION: return EPERM;
    case VARVE_AUTHENTICATION: return EACCES;
    case VARVE_LIMIT: return EFBIG;
    case VARVE_CANCELLED: return ECANCELED;
    case VARVE_NO_MEMORY: return ENOMEM;
    case VARVE_AGAIN: return EAGAIN;
    default: return EIO;
  }
}

int varve_error_code(const varve_error* error) { return error != nullptr ? error->code : VARVE_OK; }
const char* varve_error_message(const varve_error* error) { return error != nullptr ? error->message.c_str() : ""; }
const char* varve_error_path(const varve_error* error) { return error != nullptr ? error->path.c_str() : ""; }

int varve_error_file_offset(const varve_error* error, uint64_t* offset) {
  if (error == nullptr || !error->file_offset) return 0;
  *offset = *error->file_offset;
  return 1;
}

int varve_error_disk_offset(const varve_error* error, uint64_t* offset) {
  if (error == nullptr || !error->disk_offset) return 0;
  *offset = *error->disk_offset;
  return 1;
}

void varve_error_free(varve_error* error) { std::unique_ptr<varve_error>{error}; }
