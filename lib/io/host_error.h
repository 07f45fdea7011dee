// From errno to Error, in one table.
#ifndef VARVE_IO_HOST_ERROR_H
#define VARVE_IO_HOST_ERROR_H

#include <string>

#include "varve/error.h"

namespace varve {

/// The code for a failed system call; Errc::io for all that the table does not know.
Errc errc_of_errno(int error) noexcept;

/// "MESSAGE: strerror", with a hint where one is known. The caller adds path, offset and operation.
Error host_error(int error, std::string message);

}  // namespace varve

#endif
