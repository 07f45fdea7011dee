#include "vmdk/vmdk_image.h"

namespace varve::vmdk {

CheckReport check_image(VmdkImage& image, const CheckOptions& options) {
  CheckReport report;
  for (const ImagePart& part : image.parts().parts) {
    const size_t before = report.findings.size();
    part.driver->check(options, report);
    for (size_t i = before; i < report.findings.size(); ++i)
      if (report.findings[i].disk_offset) *report.findings[i].disk_offset += part.offset;
  }
  return report;
}

}  // namespace varve::vmdk
