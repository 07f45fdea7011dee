#!/usr/bin/env python3
"""Each fault of table.py must make the cases fail that the table names: run.py PROGRAM [NUMBER..].

Without faults the same cases must hold. A mutant passes if its cases fail, crash or do not end. The last line counts mutants, as every test
program's counts cases. With VARVE_MUTANT_LOG=1 the program's output is shown.
"""
import concurrent.futures
import os
import re
import subprocess
import sys
import time

sys.dont_write_bytecode = True
from table import MUTANTS

AT_ONCE = min(2, os.cpu_count() or 1)  # cases run threads, too
SECONDS = 60  # of cases that take three at most
COUNTS = re.compile(r"^(\d+) passed, (\d+) failed, (\d+) skipped$", re.MULTILINE)


def run(program, number, cases, *options, seconds=None):
    """(exit code, or None if it did not end; output; seconds)"""
    began = time.monotonic()
    filters = ",".join(f"*{case}*" for case in cases)
    # Whether a fault is found must not depend on luck.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("VARVE_TEST_SEED")}
    environment["VARVE_MUTANT"] = str(number)
    try:
        done = subprocess.run([program, f"--test-case={filters}", *options], env=environment, timeout=seconds, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
        code, output = done.returncode, done.stdout
    except subprocess.TimeoutExpired:
        code, output = None, ""
    if os.environ.get("VARVE_MUTANT_LOG") == "1":
        print(output)
    return code, output, time.monotonic() - began


def sound_without_faults(program, mutants):
    cases = sorted({case for mutant in mutants for case in mutant.cases})
    code, output, seconds = run(program, 0, cases)
    counts = COUNTS.findall(output)
    if code == 0 and counts and int(counts[-1][0]) == len(cases):
        print(f"without faults {len(cases)} cases hold, {seconds:.1f} s")
        return True
    print(f"FAILED: without faults {len(cases)} cases must hold:\n{output}")
    return False


def killed(program, number):
    mutant = MUTANTS[number - 1]
    code, _, seconds = run(program, number, mutant.cases, "--abort-after=1", seconds=SECONDS)
    how = "does not end" if code is None else "survives" if code == 0 else f"crashes ({-code})" if code < 0 else "is found"
    print(f"{'FAILED: ' if code == 0 else ''}mutant {number} of {mutant.file}, {mutant.name}: {how}, {seconds:.1f} s", flush=True)
    return code != 0


def main():
    program = sys.argv[1]
    numbers = [int(argument) for argument in sys.argv[2:]] or list(range(1, len(MUTANTS) + 1))
    sound = sound_without_faults(program, [MUTANTS[number - 1] for number in numbers])
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as threads:
        passed = sum(threads.map(lambda number: killed(program, number), numbers))
    failed = len(numbers) - passed + (0 if sound else 1)
    print(f"{passed} passed, {failed} failed, 0 skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
