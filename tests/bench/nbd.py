"""nbdkit with our plugin against qemu-nbd on the peer format, both driven by fio. Part of bench.py.

Each job has a server of its own on a Unix socket. Fresh random writes go to an empty disk so large that hardly a cluster is met twice; the
others to one that the sequential write has filled. Writes end in the page cache unless a job says otherwise. The rows of raw, with nbdkit's own file plugin, show what the server costs.
"""
import json
import os
import pathlib
import subprocess
import tempfile
import time

from timing import run

SECONDS = 4
# Before a job that overwrites is measured it runs for as long: formats that write to new places have got them, and the host's memory, then.
RAMP = f"--ramp_time={SECONDS}"
FULL, EMPTY = "2G", "64G"


class Pair:
    """Our format and the peer's, with what a row's rate must be of theirs. No limits: only shown."""

    def __init__(self, ours, theirs, fresh=None, overwrite=None):
        self.ours, self.theirs, self.fresh, self.overwrite = ours, theirs, fresh, overwrite


PAIRS = [Pair("varve", "qcow2", 1.2, 0.4), Pair("vhdx", "vhdx", 1.2, 1.0), Pair("vmdk", "vmdk", 1.2, 1.0), Pair("raw", "raw")]

# name, fio's options, whether the disk is empty before, which limit counts
JOBS = [
    ("1 MiB sequential write, fresh", ["--rw=write", "--bs=1M", "--iodepth=8", f"--size={FULL}"], "made", "fresh"),
    ("1 MiB sequential read", ["--rw=read", "--bs=1M", "--iodepth=8", f"--size={FULL}"], "filled", "fresh"),
    ("4 KiB random read, depth 1", ["--rw=randread", "--bs=4k", "--iodepth=1", f"--size={FULL}"], "filled", "fresh"),
    ("4 KiB random read, depth 32", ["--rw=randread", "--bs=4k", "--iodepth=32", f"--size={FULL}"], "filled", "fresh"),
    ("4 KiB random write, depth 32", ["--rw=randwrite", "--bs=4k", "--iodepth=32", f"--size={FULL}", RAMP], "filled", "overwrite"),
    ("4 KiB random write, fsync each", ["--rw=randwrite", "--bs=4k", "--iodepth=1", "--fsync=1", f"--size={FULL}", RAMP], "filled", "overwrite"),
    ("4 KiB random write, depth 32, fresh", ["--rw=randwrite", "--bs=4k", "--iodepth=32", f"--size={EMPTY}"], "empty", "fresh"),
    ("4 KiB random write, fsync each, fresh", ["--rw=randwrite", "--bs=4k", "--iodepth=1", "--fsync=1", f"--size={EMPTY}"], "empty", "fresh"),
]


class Server:
    """nbdkit or qemu-nbd on one image; ended, and the image closed, with the block."""

    def __init__(self, command, socket):
        self.command, self.socket = command, socket

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL)
        for _ in range(1000):
            if self.socket.exists():
                return self
            if self.process.poll() is not None:
                raise SystemExit(f"bench: {' '.join(self.command)}: exit code {self.process.returncode}")
            time.sleep(0.01)
        raise SystemExit(f"bench: {' '.join(self.command)}: no socket")

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        self.socket.unlink(missing_ok=True)


def ours_command(plugin, kind, image, socket):
    if kind == "raw":
        return ["nbdkit", "-f", "-U", str(socket), "file", image]
    return ["nbdkit", "-f", "-U", str(socket), plugin, f"file={image}", f"format={kind}"]


def theirs_command(kind, image, socket):
    return ["qemu-nbd", "-t", "-f", kind, "--cache=writeback", "-k", str(socket), image]


def fio(socket, options):
    """Requests a second."""
    command = ["fio", "--name=job", "--ioengine=nbd", f"--uri=nbd+unix:///?socket={socket}", "--output-format=json", "--norandommap", *options]
    if "--rw=write" not in options:
        command += ["--time_based", f"--runtime={SECONDS}"]
    done = subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    job = json.loads(done.stdout[done.stdout.index("{"):])["jobs"][0]
    return (job["read"] if job["read"]["total_ios"] else job["write"])["iops"]


def make(varve, who, kind, folder, size):
    image = f"nbd-{who}.{kind}"
    (folder / image).unlink(missing_ok=True)
    if kind == "raw":
        run(["truncate", "-s", size, image], folder)
    elif who == "ours":
        run([varve, "create", "-f", kind, *(["-o", "compression=none"] if kind == "varve" else []), image, size], folder)
    else:
        run(["qemu-img", "create", "-q", "-f", kind, image, size], folder)
    return str(folder / image)


def rates(varve, plugin, pair, folder, socket, runs):
    """By name of the job, (ours, theirs). Jobs that only read are repeated by turns, and the best counts."""
    images = {}
    for name, options, state, _ in JOBS:
        best = {"ours": 0, "theirs": 0}
        for _ in range(runs if "read" in name else 1):
            for who, kind in (("ours", pair.ours), ("theirs", pair.theirs)):
                if state != "filled":
                    images[who] = make(varve, who, kind, folder, FULL if state == "made" else EMPTY)
                command = ours_command(plugin, kind, images[who], socket) if who == "ours" else theirs_command(kind, images[who], socket)
                os.sync()  # what was written before is not this job's
                with Server(command, socket):
                    best[who] = max(best[who], fio(socket, options))
        yield name, best["ours"], best["theirs"]
    for image in images.values():
        pathlib.Path(image).unlink()


def print_nbd(varve, folder, runs):
    plugin = str(pathlib.Path(varve).parent / "nbdkit" / "nbdkit-varve-plugin.so")
    folder = folder.resolve()
    with tempfile.TemporaryDirectory() as sockets:
        socket = pathlib.Path(sockets, "socket")
        for pair in PAIRS:
            title = f"over NBD: {pair.ours} against {pair.theirs}" if pair.fresh else "over NBD, the ceiling: nbdkit's file plugin on raw"
            print(f"\n{title:56} {'nbdkit/s':>9} {'qemu/s':>9} {'ratio':>6}  target")
            limits = {name: getattr(pair, which) for name, _, _, which in JOBS}
            for name, ours, theirs in rates(varve, plugin, pair, folder, socket, min(runs, 3)):
                ratio, limit = ours / theirs, limits[name]
                verdict = f">= {limit:.2f} {'met' if ratio >= limit else 'MISSED'}" if limit else ""
                print(f"{name:56} {ours:9.0f} {theirs:9.0f} {ratio:6.2f}  {verdict}", flush=True)


def in_process_rate(varve, folder, *arguments):
    command = [varve, "bench", "--json", "--random", "-d", "32", "--seconds", str(SECONDS), *arguments, "out.varve"]
    return json.loads(subprocess.run(command, cwd=folder, check=True, stdout=subprocess.PIPE).stdout)["iops"]


def print_queues(varve, folder, runs):
    """Reads through the library's queues: in memory, from the page cache, and what a second queue brings."""
    run([varve, "create", "--force", "-o", "compression=none", "out.varve", "4G"], folder)
    run([varve, "bench", "-f", "varve", "-w", "-s", "4M", "-c", "1024", "out.varve"], folder)
    best = {name: max(in_process_rate(varve, folder, *arguments) for _ in range(runs))
            for name, arguments in {"cached": ["--range", "32M"], "page cache": [], "two": ["--range", "32M", "--queues", "2"]}.items()}
    (folder / "out.varve").unlink()

    def row(name, found, limit, unit=""):
        print(f"{name:56} {found:12.2f}{unit}  >= {limit} {'met' if found >= limit else 'MISSED'}", flush=True)

    print(f"\n{'4 KiB random reads through queues, depth 32':56} {'IOPS':>12}  target")
    row("within the cache of decoded clusters (32 MiB)", best["cached"], 300000)
    row("from the page cache (4 GiB)", best["page cache"], 80000)
    row("a second queue, cached: rate of both to that of one", best["two"] / best["cached"], 1.5)


PARTS = {"nbd": print_nbd, "queues": print_queues}
