#!/usr/bin/env python3
"""Installs a build into an empty directory and uses what is there: install_test.py BUILD_DIR [nbdkit].

The last line counts the cases, as every test program's does.
"""
import os
import pathlib
import subprocess
import sys
import tempfile

from examples_test import check_examples

EXAMPLES = pathlib.Path(__file__).resolve().parents[2] / "docs/examples"
PROGRAM = """
#include <varve/check.h>
#include <varve/error.h>
#include <varve/image.h>
#include <varve/ops.h>

#include <iostream>

int main() {
  try {
    varve::Image::open("/nonexistent/disk.vmdk");
  } catch (const varve::Error& e) {
    std::cout << varve::errc_name(e.code()) << '\\n';
  }
  std::cout << varve::format_named("vmdk").name << '\\n';
}
"""
EXPECTED = "not_found\nvmdk\n"


class Installed:
    """A build, installed below `root` under the prefix that it was configured with."""

    def __init__(self, build_dir, root):
        self.root = pathlib.Path(root)
        subprocess.run(["meson", "install", "-C", build_dir, "--no-rebuild", "--quiet", "--destdir", root], check=True,
                       stdout=subprocess.DEVNULL)
        self.pc_dir = self.one("**/pkgconfig/varve.pc").parent
        self.lib_dir = self.pc_dir.parent
        self.environment = dict(os.environ, PKG_CONFIG_PATH=str(self.pc_dir), PKG_CONFIG_SYSROOT_DIR=str(self.root),
                                LD_LIBRARY_PATH=str(self.lib_dir))

    def one(self, pattern):
        found = list(self.root.glob(pattern))
        assert len(found) == 1, f"{pattern}: found {found}"
        return found[0]

    def run(self, *command):
        done = subprocess.run(command, env=self.environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        assert done.returncode == 0, f"{' '.join(map(str, command))}: exit code {done.returncode}\n{done.stdout}"
        return done.stdout

    def build_program(self, name, *pkg_config_arguments):
        source = self.root / "program.cc"
        source.write_text(PROGRAM)
        return self.build(name, source, "g++", "-std=c++20", pkg_config=pkg_config_arguments)

    def build(self, name, source, *compiler, pkg_config=()):
        flags = self.run("pkg-config", "--cflags", "--libs", *pkg_config, "varve").split()
        self.run(*compiler, "-pedantic", "-Wall", "-Wextra", "-Werror", "-o", self.root / name, source, *flags)
        return self.root / name


def the_installed_tool_runs(installed):
    assert installed.run(installed.one("**/bin/varve"), "--version").startswith("varve ")


def the_library_comes_shared_and_static(installed):
    assert (installed.lib_dir / "libvarve.so").is_symlink()
    assert (installed.lib_dir / "libvarve.a").is_file()


def every_public_header_is_installed_and_no_other(installed):
    here = {path.name for path in installed.root.glob("**/include/varve/*")}
    source = pathlib.Path(__file__).resolve().parents[2] / "lib/include/varve"
    assert here == {path.name for path in source.glob("*.h")}, here


def a_program_builds_against_the_shared_library_by_pkg_config(installed):
    assert installed.run(installed.build_program("shared")) == EXPECTED


def the_examples_build_in_c_and_in_cpp_and_do_what_they_say(installed):
    hypervisor = installed.build("hypervisor", EXAMPLES / "hypervisor.c", "gcc", "-std=c99")
    convert = installed.build("convert", EXAMPLES / "convert.cc", "g++", "-std=c++20")
    check_examples(hypervisor, convert, installed.one("**/bin/varve"), installed.root, env=installed.environment)


def a_program_builds_against_the_static_library_by_pkg_config(installed):
    (installed.lib_dir / "libvarve.so").unlink()  # only the archive is left to link
    program = installed.build_program("static", "--static")
    assert "libvarve" not in installed.run("ldd", program)
    assert installed.run(program) == EXPECTED


def a_manual_page_is_installed_for_the_tool(installed):
    page = installed.one("**/man/man1/varve.1*")
    assert page.stat().st_size > 500


def bash_completion_is_installed(installed):
    installed.run("bash", "-n", installed.one("**/bash-completion/completions/varve"))


def the_plugin_for_nbdkit_is_installed_where_the_tool_looks_for_it(installed):
    plugin = installed.one("**/nbdkit/plugins/nbdkit-varve-plugin.so")
    place = "/" + str(plugin.relative_to(installed.root))
    assert place.encode() in installed.one("**/bin/varve").read_bytes(), place
    dump = installed.run("nbdkit", "--dump-plugin", plugin)
    assert "varve_version=" in dump, dump


CASES = [the_installed_tool_runs, the_library_comes_shared_and_static, every_public_header_is_installed_and_no_other,
         a_program_builds_against_the_shared_library_by_pkg_config, the_examples_build_in_c_and_in_cpp_and_do_what_they_say,
         a_program_builds_against_the_static_library_by_pkg_config, a_manual_page_is_installed_for_the_tool,
         bash_completion_is_installed]


def main():
    failed = 0
    if "nbdkit" in sys.argv[2:]:  # the build has a plugin for it
        CASES.append(the_plugin_for_nbdkit_is_installed_where_the_tool_looks_for_it)
    with tempfile.TemporaryDirectory() as root:
        installed = Installed(sys.argv[1], root)
        for case in CASES:
            try:
                case(installed)
            except AssertionError as error:
                failed += 1
                print(f"FAILED {case.__name__}: {error}")
    print(f"{len(CASES) - failed} passed, {failed} failed, 0 skipped")
    return 1 if failed else 0


sys.exit(main())
