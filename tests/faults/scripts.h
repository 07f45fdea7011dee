// Looking at images, and making them: scripts that either do all of their work or change nothing.
#ifndef VARVE_TESTS_FAULTS_SCRIPTS_H
#define VARVE_TESTS_FAULTS_SCRIPTS_H

#include <string>
#include <vector>

#include "faults/bench.h"
#include "faults/shelf.h"
#include "varve/ops.h"

namespace varve::test {

/// open, info, map, read, check, probe, compare: of each kind of image. They change nothing.
std::vector<Script> reading_scripts();
/// The same of one disk; kReadScript is the one that reads all of it.
std::vector<Script> reading_scripts(const Subject& subject);
inline constexpr size_t kReadScript = 2;

/// A VHDX grows until its table has to move.
std::vector<Script> moving_scripts();

/// Snapshots of varve images are made, deleted, reverted to and renamed, with writes between.
std::vector<Script> snapshot_scripts();

/// create and convert, to each subformat: a new image is there in whole or not at all.
std::vector<Script> making_scripts();
/// convert over an image that is there, or into it.
std::vector<Script> replacing_scripts();
/// convert from standard input and to standard output.
std::vector<Script> piping_scripts();

// ---- for the scripts that make images ------------------------------------------------------------------

/// What is to be there in the end.
struct Product {
  std::string name;
  std::string format;
  std::vector<std::byte> content;
  std::vector<std::string> replaced = {};  ///< the files of an image that was there before
};

/// Empty if the product is there in whole, or, when the script failed, nothing of it; and nothing else has changed.
std::string judge_product(Bench& bench, const FileSet& before, const Product& product, const Circumstances& how);
/// Empty if the image is sound and holds the content.
std::string judge_image(FileSystem& files, const std::string& path, const std::string& format, const std::vector<std::byte>& content);
/// By one thread.
ConvertOptions conversion(Bench& bench, const std::string& from, const std::string& to, const OptionMap& options);

}  // namespace varve::test

#endif
