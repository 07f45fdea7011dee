// Creation options, validated against a driver's table.
#ifndef VARVE_IMAGE_OPTIONS_H
#define VARVE_IMAGE_OPTIONS_H

#include <cstdint>
#include <string>
#include <string_view>

#include "varve/format.h"

namespace varve {

/// Every option of the table has a value or is unset. Getters take names that the table holds.
class OptionValues {
 public:
  /// Throws invalid_argument that names the option, what is wrong and what would be right.
  OptionValues(const FormatInfo& format, const OptionMap& given);

  bool is_set(std::string_view name) const;              ///< by the user or by a default
  bool is_given(std::string_view name) const;            ///< by the user
  const std::string& text(std::string_view name) const;  ///< also of a choice; "" if unset
  uint64_t number(std::string_view name) const;          ///< also of a size, in bytes
  bool boolean(std::string_view name) const;

 private:
  OptionMap values_;
  OptionMap given_;
};

}  // namespace varve

#endif
