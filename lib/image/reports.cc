// Names of the kinds that reports are made of.
#include "varve/check.h"
#include "varve/extent.h"

namespace varve {

std::string_view extent_kind_name(ExtentKind kind) noexcept {
  switch (kind) {
    case ExtentKind::data: return "data";
    case ExtentKind::zero: return "zero";
    case ExtentKind::absent: return "absent";
  }
  return "unknown";
}

std::string_view severity_name(Severity severity) noexcept {
  switch (severity) {
    case Severity::note: return "note";
    case Severity::leak: return "leak";
    case Severity::damage: return "damage";
  }
  return "unknown";
}

void CheckReport::add(Finding finding) {
  if (finding.repaired) {
    ++repaired;
  } else if (finding.severity == Severity::damage) {
    ++damages;
  } else if (finding.severity == Severity::leak) {
    ++leaks;
  }
  if (findings.size() < kMaxFindings) findings.push_back(std::move(finding));
}

}  // namespace varve
