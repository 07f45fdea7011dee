// What shelf.cc and vhdx_shelf.cc make their images with.
#ifndef VARVE_TESTS_FAULTS_SHELF_KIT_H
#define VARVE_TESTS_FAULTS_SHELF_KIT_H

#include <string>
#include <vector>

#include "faults/shelf.h"
#include "io/memory_file_system.h"
#include "varve/image.h"

namespace varve::test {

FileSet take(MemoryFileSystem& files);
/// The format is what the image's name ends in.
Subject subject(std::string name, MemoryFileSystem& files, std::string image, std::vector<std::byte> content);
/// An image with this content.
void convert_raw(MemoryFileSystem& files, const std::string& image, const OptionMap& options, const std::vector<std::byte>& content);
/// Writes a piece of generation 5 into the image, and into its content.
void write_piece(MemoryFileSystem& files, Subject& disk, uint64_t at, size_t length);

}  // namespace varve::test

#endif
