// Encrypted images: opening them, and what can be told of one without its key.
#ifndef VARVE_FORMATS_NATIVE_LOCKED_H
#define VARVE_FORMATS_NATIVE_LOCKED_H

#include <memory>
#include <utility>
#include <vector>

#include "native/native_image.h"

namespace varve::native {

/// Key area, master keys and the means to use them; nothing happens to an image that is not encrypted. False: there is no secret, and
/// none is needed for what the image is opened for. Throws authentication without the right secret.
bool open_cipher(OpenContext& context, ImageParts& parts);
/// The second step, when the superblocks are known: the table of sessions, and what the caller wants of an image.
void finish_cipher(OpenContext& context, ImageParts& parts);

/// Only info() and the list of key slots.
std::unique_ptr<FormatImage> open_locked(ImageParts parts);

/// The part of ImageInfo::details that stands in clear.
void describe(const Header& header, uint64_t generation, std::vector<std::pair<std::string, InfoValue>>& details);

}  // namespace varve::native

#endif
