#!/usr/bin/env python3
"""A copy of a source with the faults that table.py has for it, each behind a switch: generate.py SOURCE COPY.

Fails if a snippet does not stand in the source exactly once, so the table goes with the code.
"""
import pathlib
import sys

sys.dont_write_bytecode = True
from table import MUTANTS


def mutated(name, text):
    places, problems = [], []
    for number, mutant in enumerate(MUTANTS, 1):
        if mutant.file != name:
            continue
        if text.count(mutant.snippet) != 1:
            problems.append(f"mutant {number} ({mutant.name}): {name} has {text.count(mutant.snippet)} times what it changes:\n{mutant.snippet}")
            continue
        if "MUTANT" not in mutant.replacement:
            sys.exit(f"mutant {number} ({mutant.name}) has no switch")
        at = text.index(mutant.snippet)
        places.append((at, at + len(mutant.snippet), mutant.replacement.replace("MUTANT", f"varve_mutant({number})")))
    if problems:
        sys.exit("\n".join(problems))
    if not places:
        sys.exit(f"table.py has no mutant of {name}: take it out of meson.build")
    end = len(text)
    for begin, after, replacement in sorted(places, reverse=True):
        if after > end:
            sys.exit(f"two mutants of {name} change the same:\n{text[begin:after]}")
        text, end = text[:begin] + replacement + text[after:], begin
    return text


def main():
    source, copy = map(pathlib.Path, sys.argv[1:3])
    text = f'#include "mutants/mutant.h"\n#line 1 "{source}"\n' + mutated(source.name, source.read_text())
    if not copy.exists() or copy.read_text() != text:  # what has not changed is not built again
        copy.write_text(text)


if __name__ == "__main__":
    main()
