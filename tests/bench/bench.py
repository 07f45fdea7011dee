#!/usr/bin/env python3
"""Times and memory of varve against qemu-img, on one disk and in one session. bench.py --help.

Like is compared with like: a pair of runs either both skip the final flush (qemu-img's default cache mode, our --sync=none) or
both end durable (qemu-img -t writeback, our default). The runs of both tools take turns, so that what else happens on the machine
hits both, and the best of each counts. Sources are in the page cache; a target is deleted after each run, outside the clock.
qemu-img gets the better of its default and of `-m 16 -W`. Nothing here fails on a time; wrong contents do fail.
"""
import argparse
import os
import pathlib
import shutil
import subprocess
import time

import encrypted
import native
import nbd
from timing import MIB, Result, measure, run

DISK_SIZE = 3 << 30
FILL = 1100 * MIB
QEMU_FLAGS = {"default": [], "-m 16 -W": ["-m", "16", "-W"]}


NATIVE = {**native.PARTS, "native-encrypt": encrypted.print_encrypted}
PARTS = {**NATIVE, **nbd.PARTS}


class Job:
    """One line of the table. `source` and `target` are (format, subformat or None); `limit` is the ratio that we aim for, unsynced."""

    def __init__(self, name, source, target, limit):
        self.name, self.source, self.target, self.limit = name, source, target, limit

    @staticmethod
    def file_of(kind):
        return "disk.raw" if kind[0] == "raw" else f"{kind[1]}.{kind[0]}"

    def ours(self, varve, target, durable):
        options = ["-o", f"subformat={self.target[1]}"] if self.target[1] else []
        sync = [] if durable else ["--sync=none"]
        return [varve, "convert", "-q", "-f", self.source[0], "-O", self.target[0], *options, *sync, self.file_of(self.source), target]

    def theirs(self, target, durable, flags):
        options = ["-o", f"subformat={self.target[1]}"] if self.target[1] else []
        cache = ["-t", "writeback"] if durable else []
        return ["qemu-img", "convert", "-f", self.source[0], "-O", self.target[0], *options, *cache, *flags, self.file_of(self.source), target]


class CompareJob(Job):
    def ours(self, varve, target, durable):
        return [varve, "compare", "-q", self.file_of(self.source), self.file_of(self.target)]

    def theirs(self, target, durable, flags):
        return ["qemu-img", "compare", "-f", self.source[0], "-F", self.target[0], self.file_of(self.source), self.file_of(self.target)]


RAW, SPARSE, STREAM = ("raw", None), ("vmdk", "monolithicSparse"), ("vmdk", "streamOptimized")
VHDX = ("vhdx", "dynamic")
JOBS = {
    "raw-sparse": Job("raw to monolithicSparse", RAW, SPARSE, 0.40),
    "sparse-raw": Job("monolithicSparse to raw", SPARSE, RAW, 0.50),
    "raw-stream": Job("raw to streamOptimized", RAW, STREAM, 0.20),
    "stream-raw": Job("streamOptimized to raw", STREAM, RAW, 0.25),
    "raw-raw": Job("raw to raw", RAW, RAW, 1.05),
    "raw-vhdx": Job("raw to dynamic VHDX", RAW, VHDX, 0.95),
    "vhdx-raw": Job("dynamic VHDX to raw", VHDX, RAW, 0.90),
    "compare": CompareJob("compare raw with monolithicSparse", RAW, SPARSE, 0.60),
}


def make_disk(folder):
    """disk.raw: 3 GiB of ext4 that holds about 1.1 GiB of /usr, the same files each time on the same machine."""
    stage = folder / "stage"
    shutil.rmtree(stage, ignore_errors=True)
    copied = 0
    for top in ("/usr/bin", "/usr/lib", "/usr/share"):
        for where, folders, names in os.walk(top):
            folders.sort()
            for name in sorted(names):
                path = pathlib.Path(where, name)
                if copied >= FILL or path.is_symlink() or not path.is_file() or not os.access(path, os.R_OK):
                    continue
                to = stage / path.relative_to("/")
                to.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, to)
                copied += path.stat().st_size
    with open(folder / "disk.raw.new", "wb") as disk:
        disk.truncate(DISK_SIZE)
    run(["mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0", "-d", "stage", "disk.raw.new"], folder)
    shutil.rmtree(stage)
    (folder / "disk.raw.new").rename(folder / "disk.raw")
    print(f"made a disk of {DISK_SIZE / MIB:.0f} MiB with {copied / MIB:.0f} MiB of files of /usr")


def prepare(folder, jobs):
    """The sources. Images are written by qemu-img, so that neither tool reads what it wrote itself to its own taste."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "disk.raw").exists():
        make_disk(folder)
    for kind in {kind for job in jobs for kind in (job.source, job.target)} - {RAW}:
        if kind in [job.source for job in jobs] or any(isinstance(job, CompareJob) for job in jobs):
            if not (folder / Job.file_of(kind)).exists():
                run(["qemu-img", "convert", "-f", "raw", "-O", kind[0], "-o", f"subformat={kind[1]}", "disk.raw", Job.file_of(kind)], folder)
    for path in folder.iterdir():  # on the medium and in the page cache
        with open(path, "rb") as file:
            os.fsync(file.fileno())
            while file.read(MIB):
                pass


def time_job(job, varve, folder, runs, durable):
    """{"varve": Result, each of QEMU_FLAGS: Result}."""
    target = f"out.{job.target[0]}"
    contenders = {"varve": job.ours(varve, target, durable)}
    compares = isinstance(job, CompareJob)
    for name, flags in ({"default": []} if compares else QEMU_FLAGS).items():
        contenders[name] = job.theirs(target, durable, flags)
    results = {name: Result() for name in contenders}
    for turn in range(runs):
        for name, command in contenders.items():
            seconds, memory = measure(command, folder)
            out = folder / target
            results[name].add(seconds, memory, 0 if compares else out.stat().st_blocks * 512 if job.target == RAW else out.stat().st_size)
            if compares:
                continue
            if turn == 0 and name == "varve":
                run(["qemu-img", "compare", "-f", "raw", "-F", job.target[0], "disk.raw", target], folder)
            out.unlink()
    return results


def print_times(jobs, varve, folder, runs, modes):
    memory, sizes = [], []
    for durable in modes:
        print("\n" + ("durable: our default against qemu-img -t writeback" if durable else
                      "unsynced: --sync=none against qemu-img's default cache mode"))
        print(f"{'job':36} {'varve':>8} {'qemu-img':>9} {'(with)':>10} {'ratio':>6}  target")
        for job in jobs:
            if durable and isinstance(job, CompareJob):
                continue
            results = time_job(job, varve, folder, runs, durable)
            ours = results.pop("varve")
            name, best = min(results.items(), key=lambda item: item[1].seconds)
            ratio, limit = ours.seconds / best.seconds, 1.0 if durable else job.limit
            print(f"{job.name:36} {ours.seconds:7.3f}s {best.seconds:8.3f}s {name:>10} {ratio:6.2f}  <= {limit:.2f} "
                  f"{'met' if ratio <= limit else 'MISSED'}", flush=True)
            memory.append((job.name + (", durable" if durable else ""), ours.memory, best.memory))
            if job.target == STREAM and not durable:
                sizes.append((job.name, ours.size, best.size))
    for name, ours, theirs in sizes:
        print(f"\nsize of the file, {name}: {ours} against {theirs} bytes: {ours / theirs:.3f}  <= 1.02 {'met' if ours <= 1.02 * theirs else 'MISSED'}")
    print(f"\n{'peak memory, MiB':46} {'varve':>6} {'qemu-img':>9}  target")
    for name, ours, theirs in memory:
        print(f"{name:46} {ours / MIB:6.0f} {theirs / MIB:9.0f}  <= 256 {'met' if ours <= 256 * MIB else 'MISSED'}")


def print_empty(varve, folder, runs, title, makers, commands):
    """What an empty disk near a format's limit costs. `commands`: name, arguments, seconds, MiB."""
    print(f"\n{title:46} {'seconds':>8} {'MiB':>5}  target")
    for maker, create in makers.items():
        run(create, folder)
        for name, arguments, limit, mib in commands:
            result = Result()
            for _ in range(runs):
                for path in folder.glob("out.*"):
                    path.unlink()
                result.add(*measure([varve, *arguments], folder), 0)
            met = result.seconds < limit and result.memory <= mib * MIB
            print(f"{name + ', made by ' + maker:46} {result.seconds:8.3f} {result.memory / MIB:5.0f}  < {limit} s, <= {mib} MiB "
                  f"{'met' if met else 'MISSED'}", flush=True)
    for path in [*folder.glob("out.*"), *folder.glob("large.*")]:
        path.unlink()


def print_large(varve, folder, runs):
    def looks(name):
        return [(command, [command, name], 0.3, 64) for command in ("info", "map", "check")]

    makers = {"varve": [varve, "create", "-f", "vmdk", "-o", "subformat=monolithicSparse", "large.vmdk", "1945G"],
              "qemu-img": ["qemu-img", "create", "-q", "-f", "vmdk", "-o", "subformat=monolithicSparse", "large.vmdk", "1945G"]}
    print_empty(varve, folder, runs, "an empty monolithicSparse of 1.9 TiB", makers,
                [*looks("large.vmdk"), ("convert", ["convert", "-q", "large.vmdk", "out.vmdk"], 1.0, 256)])
    print_empty(varve, folder, runs, "an empty dynamic VHDX of 64 TiB", {"varve": [varve, "create", "-f", "vhdx", "large.vhdx", "64T"]},
                [("create", ["create", "-f", "vhdx", "out.vhdx", "64T"], 0.3, 64), *looks("large.vhdx"),
                 ("convert", ["convert", "-q", "-o", "block_size=8M", "large.vhdx", "out.vhdx"], 2.0, 256)])
    print_empty(varve, folder, runs, "an empty dynamic VHDX of 8 TiB", {"varve": [varve, "create", "-f", "vhdx", "large.vhdx", "8T"]},
                [("convert to raw", ["convert", "-q", "large.vhdx", "out.raw"], 1.0, 256)])


WRITES, FLUSH_EVERY, SCATTER_SIZE = 10000, 100, 64 << 30


def qemu_io_script():
    """The same writes as tests/bench/scatter.cc makes."""
    state, lines = 1, []
    for i in range(1, WRITES + 1):
        state = (state * 6364136223846793005 + 1442695040888963407) % (1 << 64)
        lines.append(f"write -q -P 0x5a {(state >> 33) % (SCATTER_SIZE // 4096) * 4096} 4096")
        if i % FLUSH_EVERY == 0:
            lines.append("flush")
    return "\n".join(lines) + "\n"


def time_command(command, folder, stdin):
    started = time.monotonic()
    subprocess.run(command, cwd=folder, check=True, input=stdin, stdout=subprocess.DEVNULL)
    return time.monotonic() - started


def print_scatter(varve, scatter, folder, runs):
    """Each tool writes into its own new image."""
    best = {"varve": float("inf"), "qemu-io": float("inf")}
    for _ in range(runs):
        run([varve, "create", "--force", "-f", "vhdx", "ours.vhdx", str(SCATTER_SIZE)], folder)
        best["varve"] = min(best["varve"], time_command([scatter, "ours.vhdx", "vhdx"], folder, b""))
        run(["qemu-img", "create", "-q", "-f", "vhdx", "theirs.vhdx", str(SCATTER_SIZE)], folder)
        best["qemu-io"] = min(best["qemu-io"], time_command(["qemu-io", "-f", "vhdx", "theirs.vhdx"], folder, qemu_io_script().encode()))
    run([varve, "compare", "-q", "ours.vhdx", "theirs.vhdx"], folder)
    for name in ("ours.vhdx", "theirs.vhdx"):
        (folder / name).unlink()
    ratio = best["varve"] / best["qemu-io"]
    print(f"\n{WRITES} scattered writes of 4 KiB, a flush every {FLUSH_EVERY}, dynamic VHDX of 64 GiB: "
          f"{best['varve']:.3f} s, qemu-io {best['qemu-io']:.3f} s: {ratio:.2f}  <= 0.25 {'met' if ratio <= 0.25 else 'MISSED'}")


def main():
    parser = argparse.ArgumentParser(prog="./dev bench", description="Times and memory against qemu-img. Needs about 16 GiB of disk.")
    parser.add_argument("--varve", default="build/cli/varve", help="the tool to measure")
    parser.add_argument("--scatter", default="build/tests/bench/scatter", help="the program that writes here and there")
    parser.add_argument("--runs", type=int, default=5, help="runs of each; the best counts (5)")
    parser.add_argument("--dir", default="build/bench", help="where disks are made and kept for the next time (build/bench)")
    parser.add_argument("--only", choices=["unsynced", "durable"], help="one of the two tables")
    parser.add_argument("jobs", nargs="*", metavar="JOB", help=f"of {', '.join(JOBS)}, large, scatter, native, {', '.join(PARTS)}; all if none is named; native: all of the varve format")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.jobs if name not in [*JOBS, "large", "scatter", "native", *PARTS]]
    if unknown:
        parser.error(f"no such job: {', '.join(unknown)}")
    varve, folder = str(pathlib.Path(arguments.varve).resolve()), pathlib.Path(arguments.dir)
    names = arguments.jobs or [*JOBS, "large", "scatter", *PARTS]
    jobs = [JOBS[name] for name in names if name in JOBS]
    prepare(folder, jobs)
    if jobs:
        modes = {"unsynced": [False], "durable": [True]}.get(arguments.only, [False, True])
        print_times(jobs, varve, folder, arguments.runs, modes)
    if "large" in names:
        print_large(varve, folder, arguments.runs)
    if "scatter" in names:
        print_scatter(varve, str(pathlib.Path(arguments.scatter).resolve()), folder, min(arguments.runs, 2))
    for name, part in PARTS.items():
        if name in names or ("native" in names and name in NATIVE):
            part(varve, folder, arguments.runs)


main()
