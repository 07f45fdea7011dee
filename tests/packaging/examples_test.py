#!/usr/bin/env python3
"""Runs the programs of docs/examples: examples_test.py HYPERVISOR CONVERT VARVE.

The last line counts the cases, as every test program's does.
"""
import pathlib
import subprocess
import sys
import tempfile


def run(*command, **more):
    """What a program prints, which must end well."""
    done = subprocess.run([str(word) for word in command], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, **more)
    assert done.returncode == 0, f"{' '.join(map(str, command))}: exit code {done.returncode}\n{done.stdout}"
    return done.stdout


def check_examples(hypervisor, convert, varve, directory, **more):
    """What they make is sound, and is what they say."""
    image, copy = pathlib.Path(directory) / "guest.varve", pathlib.Path(directory) / "copy.vmdk"
    assert run(hypervisor, image, **more) == "800 writes, one snapshot\n"
    assert "clean" in run(varve, "check", "--data", image, **more)
    assert "while-running" in run(varve, "snapshot", "list", image, **more)
    assert "67108864 bytes of disk" in run(convert, image, copy, "vmdk", **more)
    assert "clean" in run(varve, "check", "--data", copy, **more)
    run(varve, "compare", image, copy, **more)


def main():
    try:
        with tempfile.TemporaryDirectory() as directory:
            check_examples(*sys.argv[1:4], directory)
    except AssertionError as error:
        print(f"FAILED the examples: {error}")
        print("0 passed, 1 failed, 0 skipped")
        return 1
    print("1 passed, 0 failed, 0 skipped")
    return 0


if __name__ == "__main__":
    sys.exit(main())
