// Sizes as people write and read them. All suffixes are binary: 1K is 1024.
#ifndef VARVE_BASE_SIZES_H
#define VARVE_BASE_SIZES_H

#include "varve/text.h"  // parse_size, format_size: public

#endif
