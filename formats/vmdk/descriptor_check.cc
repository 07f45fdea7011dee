#include "vmdk/descriptor_check.h"

#include <string>
#include <utility>

#include "base/text.h"
#include "vmdk/text_encoding.h"

namespace varve::vmdk {
namespace {

class Reporter {
 public:
  explicit Reporter(CheckReport& report) : report_(report) {}
  void damage(std::string message) { add(Severity::damage, std::move(message)); }
  void note(std::string message) { add(Severity::note, std::move(message)); }

 private:
  void add(Severity severity, std::string message) {
    Finding found;
    found.severity = severity;
    found.message = "descriptor: " + std::move(message);
    report_.add(std::move(found));
  }

  CheckReport& report_;
};

void check_ids(const Descriptor& d, Reporter& report) {
  const auto cid = d.cid();
  if (!cid) return report.damage(d.has("CID") ? "the CID is no number of 8 hex digits" : "there is no CID");
  if (*cid >= 0xfffffffe) report.note("the CID " + cid_text(*cid) + " means \"none\"");
  if (!d.has("parentCID")) report.note("there is no parentCID");
  // ddb.longContentID is said to end in the CID; images from ESXi whose doesn't are common.
  const bool child = d.parent_cid().value_or(kNoParentCid) != kNoParentCid;
  if (child && !d.has("parentFileNameHint")) report.damage("the disk has a parent and does not name it");
  if (!child && d.has("parentFileNameHint")) report.note("a parent is named, and parentCID says that there is none");
}

}  // namespace

void check_descriptor(const Descriptor& descriptor, CheckReport& report) {
  Reporter out(report);
  const auto entries = descriptor.entries();
  if (entries.empty() || lower_case(entries.front().first) != "version") out.note("the first line is not version=N");
  if (!descriptor.has("createType")) out.damage("there is no createType");
  for (const std::string& key : descriptor.duplicate_keys()) out.damage("the key \"" + key + "\" stands more than once");
  if (!valid_utf8(descriptor.text()) && !descriptor.has("encoding")) out.note("names are not UTF-8, and no encoding is given");
  check_ids(descriptor, out);
}

}  // namespace varve::vmdk
