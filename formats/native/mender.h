// Trees without what is damaged in them.
#ifndef VARVE_FORMATS_NATIVE_MENDER_H
#define VARVE_FORMATS_NATIVE_MENDER_H

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "native/check.h"
#include "native/extents.h"
#include "native/space.h"

namespace varve::native {

/// Writes the nodes anew that lead to what a check has found, to new places. What stands for an extent has the birth of that extent, so
/// that who shares it shares its successor, and R7 holds as before. What is lost becomes zeros, which hide a parent.
///
/// An object may have lost a node whose entries a later object, which is based on it, still has in a node of its own: what is as old as the
/// lost node there was in it. So the entries are taken back from there.
class Mender {
 public:
  /// `generation`: that is being built.
  Mender(Extents& extents, Space& space, const CheckResult& found, uint64_t generation);

  /// The objects of all subjects, in their order; the first, the catalog, as it was. Throws limit if that would take for ever.
  std::vector<Object> run();
  /// Of nodes that can't be read: which parts of the disk really are lost.
  const std::map<Place, std::vector<Interval>>& lost() const { return lost_; }

 private:
  /// An object that is based on the subject, and what it has where that has lost something.
  struct Candidate {
    size_t number;
    Beside there;
  };
  using Candidates = std::vector<Candidate>;
  /// What the subject's parent held where something stands, and what it holds there now.
  struct Above {
    Beside was;
    Beside is;
  };
  class AboveNode {
   public:
    AboveNode(const Mender& mender, const Above& above, unsigned level);
    Above operator[](size_t index) const { return {was_[index], is_[index]}; }

   private:
    BesideNode was_;
    BesideNode is_;
  };

  uint64_t end() const { return space_.end(); }
  const Subject& subject() const { return found_.subjects[number_]; }
  Pointer mend(const Pointer& pointer, unsigned level, uint64_t cluster, const Above& above, Place place);
  std::optional<Pointer> inherited(const Pointer& pointer, unsigned level, const Above& above) const;
  Pointer replaced(Fault fault, const Pointer& pointer, unsigned level, uint64_t cluster, const Above& above, Place place);
  Pointer without_tail(const Pointer& pointer, uint64_t cluster);
  Pointer write(const Node& node, unsigned level, uint64_t birth);
  void note_rewrite(const Pointer& pointer);

  Pointer lost_node(const Pointer& pointer, unsigned level, uint64_t cluster, const Above& above, Place place);
  void spend(uint64_t looks);
  void collect(size_t number, const Pointer& lost, unsigned level, uint64_t cluster, Candidates& all);
  std::optional<Pointer> taken_back(const Candidates& all, unsigned level, uint64_t cluster, uint64_t birth, const Above& above);
  Pointer salvage(Candidates all, unsigned level, uint64_t cluster, uint64_t birth, const Above& above);

  Extents& extents_;
  Space& space_;
  const CheckResult& found_;
  const uint64_t generation_;
  std::vector<std::vector<size_t>> children_;
  std::vector<Object> mended_;
  size_t number_ = 0;                           ///< of the subject that is at work
  std::unordered_map<uint64_t, Pointer> done_;  ///< nodes by their places: more faults than are kept could lead to one again and again
  std::vector<Interval>* losing_ = nullptr;     ///< runs of the node that is being put together again
  std::map<Place, std::vector<Interval>> lost_;
  uint64_t looks_left_;
};

}  // namespace varve::native

#endif
