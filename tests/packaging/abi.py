#!/usr/bin/env python3
"""What binds programs to the C interface: its functions, structures and constants, as libabigail describes them.

abi.py BASELINE      writes the description of varve/varve.h as it is (`./dev abi`)

A description is made from a library that has every function that the header declares, each without a body: what libvarve consists of
inside is nobody's business, and hundred times as long. That libvarve exports these functions is looked at where it is built.
"""
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
HEADER = ROOT / "lib/include/varve/varve.h"
VERSION = "VARVE_0.1"


def run(*command, **more):
    return subprocess.run([str(word) for word in command], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, **more)


def must_run(*command, **more):
    done = run(*command, **more)
    assert done.returncode == 0, f"{' '.join(map(str, command))}: exit code {done.returncode}\n{done.stdout}"
    return done.stdout


def bodies(header):
    """A definition of every function that the header declares, and one that makes its enumerations known."""
    text = re.sub(r"/\*.*?\*/", "", header, flags=re.DOTALL)
    yield "#include <varve/varve.h>"
    for result, name, parameters in re.findall(r"^VARVE_API\b([^;(]*?)\b(\w+)\(([^;]*)\);", text, flags=re.MULTILINE):
        yield f"{result}{name}({parameters}) {{ {'' if result.strip() == 'void' else 'return 0;'} }}"
    enumerations = ", ".join(f"enum {name} {name}_" for name in re.findall(r"^enum (\w+) {", text, flags=re.MULTILINE))
    yield f"VARVE_API void varve_constants({enumerations}) {{ }}"


def describe(header, baseline):
    """Writes to `baseline` what the text of a header declares."""
    with tempfile.TemporaryDirectory() as name:
        work = pathlib.Path(name)
        (work / "varve").mkdir()
        (work / "varve/varve.h").write_text(header)
        (work / "abi.c").write_text("\n".join(bodies(header)) + "\n")
        (work / "abi.map").write_text(VERSION + " { global: varve_*; local: *; };\n")
        must_run("gcc", "-std=c99", "-gdwarf-4", "-shared", "-fPIC", "-I.", "-Wl,--version-script=abi.map", "-Wl,-soname,libvarve.so.0",
                 "-o", "abi.so", "abi.c", cwd=work)
        must_run("abidw", "--headers-dir", "varve", "--drop-private-types", "--no-corpus-path", "--no-comp-dir-path", "--no-show-locs",
                 "--no-elf-needed", "--no-parameter-names", "--no-write-default-sizes", "--out-file", "abi.xml", "abi.so", cwd=work)
        pathlib.Path(baseline).write_text((work / "abi.xml").read_text())


def changes(old, new):
    """What a program that was built with the old interface would notice; additions are none of that. Empty: nothing."""
    done = run("abidiff", "--no-added-syms", old, new)
    return done.stdout or f"abidiff: exit code {done.returncode}" if done.returncode else ""


if __name__ == "__main__":
    describe(HEADER.read_text(), sys.argv[1])
