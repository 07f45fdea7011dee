#!/usr/bin/env python3
"""The C interface still is what programs were built with: abi_test.py LIBRARY.

libvarve.abi beside this file is the description to keep to. The last line counts the cases, as every test program's does.
"""
import os
import pathlib
import re
import shutil
import sys
import tempfile

import abi

BASELINE = pathlib.Path(__file__).resolve().parent / "libvarve.abi"
HEADER = abi.HEADER.read_text()


def with_change(old, new):
    """What is told of the interface after a change of the header's text."""
    assert HEADER.count(old) == 1, f"'{old}' stands in the header {HEADER.count(old)} times"
    with tempfile.TemporaryDirectory() as work:
        changed = pathlib.Path(work) / "changed.abi"
        abi.describe(HEADER.replace(old, new), changed)
        return abi.changes(BASELINE, changed)


def the_interface_is_as_its_baseline_says(_library):
    with tempfile.TemporaryDirectory() as work:
        now = pathlib.Path(work) / "now.abi"
        abi.describe(abi.HEADER.read_text(), now)
        assert not abi.changes(BASELINE, now), abi.changes(BASELINE, now)


def the_library_exports_every_function_of_the_baseline(library):
    wanted = set(re.findall(r"<elf-symbol name='(\w+)' version='([\w.]+)'", BASELINE.read_text())) - {("varve_constants", abi.VERSION)}
    assert len(wanted) > 50, f"the baseline has only {len(wanted)} functions"
    lines = abi.must_run("nm", "-D", "--defined-only", "--with-symbol-versions", library).splitlines()
    there = {tuple(line.split()[-1].split("@@")) for line in lines}
    assert not wanted - there, f"missing: {sorted(wanted - there)}"


def a_new_function_and_a_new_constant_are_no_change(_library):
    assert not with_change("VARVE_API int varve_flush(", "VARVE_API int varve_flush_soon(varve_image* image);\nVARVE_API int varve_flush(")
    assert not with_change("VARVE_INTERNAL = -15 ", "VARVE_INTERNAL = -15, VARVE_TOO_LATE = -16 ")


def a_function_that_is_gone_is_told(_library):
    assert "varve_flush" in with_change("VARVE_API int varve_flush(varve_image* image, varve_error** error);", "")


def another_parameter_is_told(_library):
    assert "varve_resize" in with_change("varve_resize(varve_image* image, uint64_t size, int shrink,",
                                         "varve_resize(varve_image* image, uint64_t size, long shrink,")


def another_result_is_told(_library):
    assert "varve_queue_cancel" in with_change("VARVE_API int varve_queue_cancel(", "VARVE_API long varve_queue_cancel(")


def a_structure_that_has_grown_is_told(_library):
    assert "varve_completion" in with_change("  uint64_t cookie;\n  int32_t code;", "  uint64_t cookie;\n  uint64_t more;\n  int32_t code;")


def members_that_have_changed_places_are_told(_library):
    assert "varve_extent" in with_change("  uint64_t offset;\n  uint64_t length; /*", "  uint64_t length;\n  uint64_t offset; /*")


def another_callback_is_told(_library):
    assert "varve_progress_fn" in with_change("typedef int varve_progress_fn(void* user, uint64_t done, uint64_t total);",
                                              "typedef int varve_progress_fn(void* user, uint64_t done);")


def another_number_of_a_constant_is_told(_library):
    assert "VARVE_AGAIN" in with_change("VARVE_AGAIN = -14", "VARVE_AGAIN = -114")


CASES = [the_interface_is_as_its_baseline_says, the_library_exports_every_function_of_the_baseline,
         a_new_function_and_a_new_constant_are_no_change, a_function_that_is_gone_is_told, another_parameter_is_told, another_result_is_told,
         a_structure_that_has_grown_is_told, members_that_have_changed_places_are_told, another_callback_is_told,
         another_number_of_a_constant_is_told]


def main():
    if shutil.which("abidiff") is None and os.environ.get("VARVE_TEST_STRICT") != "1":
        print("SKIPPED the ABI of the C interface: abidiff is not installed")
        print(f"0 passed, 0 failed, {len(CASES)} skipped")
        return 0
    failed = 0
    for case in CASES:
        try:
            case(sys.argv[1])
        except (AssertionError, OSError) as error:
            failed += 1
            print(f"FAILED {case.__name__}: {error}")
    print(f"{len(CASES) - failed} passed, {failed} failed, 0 skipped")
    return 1 if failed else 0


sys.exit(main())
