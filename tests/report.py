#!/usr/bin/env python3
"""What the test programs of a build directory said.

report.py BUILD_DIR             sums the count line of every program that the last `meson test` ran; prints skipped cases with
                                their reasons before, and one line "N passed, N failed, N skipped" at the end
report.py --programs BUILD_DIR  names the tests that are doctest programs, which take doctest's arguments

A program that crashed, timed out or printed no count line counts as one failed case at least.
"""
import json
import pathlib
import re
import subprocess
import sys

COUNTS = re.compile(r"^(\d+) passed, (\d+) failed, (\d+) skipped$", re.MULTILINE)


def programs(build_dir):
    tests = json.loads(subprocess.check_output(["meson", "introspect", "--tests", build_dir]))
    root = str(pathlib.Path(build_dir).resolve() / "tests")
    return [test["name"] for test in tests if len(test["cmd"]) == 1 and test["cmd"][0].startswith(root)]


def outcome(test):
    """(passed, failed, skipped) of one program."""
    output = test.get("stdout", "")
    counts = COUNTS.findall(output)
    ended_well = test["result"] in ("OK", "SKIP")
    if not counts:
        return 0, 1, 0
    passed, failed, skipped = map(int, counts[-1])
    if not ended_well and failed == 0:
        failed = 1
    return passed, failed, skipped


def report(build_dir):
    log = pathlib.Path(build_dir) / "meson-logs" / "testlog.json"
    tests = [json.loads(line) for line in log.read_text(errors="replace").splitlines()] if log.exists() else []
    total = [0, 0, 0]
    for test in tests:
        counts = outcome(test)
        total = [a + b for a, b in zip(total, counts)]
        for line in test.get("stdout", "").splitlines():
            if line.startswith("SKIPPED "):
                print(line)
        if counts[1]:
            print(f"FAILED {test['name']}: {counts[1]} failed ({test['result']})")
    if not tests:
        print("FAILED: no test program ran")
        total[1] = 1
    print("{} passed, {} failed, {} skipped".format(*total))
    return 1 if total[1] else 0


if sys.argv[1:2] == ["--programs"]:
    print("\n".join(programs(sys.argv[2])))
else:
    sys.exit(report(sys.argv[1]))
