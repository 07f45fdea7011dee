"""The varve format against qcow2. Parts of bench.py; each takes the tool, the folder with disk.raw, and the number of runs."""
import json
import subprocess
import time

from timing import MIB, Result, measure, run

GIB = 1 << 30
STRIDE = 1052672  # 1 MiB and a block: every write meets another cluster of both formats
CLUSTERS = 65536  # of 4 GiB; as many steps meet nearly each of them once


def verdict(ratio, limit, at_least=False):
    met = ratio >= limit if at_least else ratio <= limit
    return f"{ratio:6.2f}  {'>=' if at_least else '<='} {limit:.2f} {'met' if met else 'MISSED'}"


# ---- conversions ------------------------------------------------------------------------------------------------------------------------

CONVERSIONS = [
    # name, our options, qemu-img's options, limit
    ("raw to varve, plain", "compression=none", [], 1.0),
    ("raw to varve, zstd:3", "compression=zstd:3", ["-c", "-o", "compression_type=zstd"], 0.60),
    ("raw to varve, zlib:6", "compression=zlib:6", ["-c"], 0.45),
]


def print_conversions(varve, folder, runs):
    print(f"\n{'unsynced, against qcow2 by -m 16 -W':36} {'varve':>8} {'qemu-img':>9} {'ratio':>6}  target")
    sizes = []
    for name, options, theirs, limit in CONVERSIONS:
        ours, peer = Result(), Result()
        for _ in range(runs if "zlib" not in options else 1):
            for result, target, command in (
                (ours, "out.varve", [varve, "convert", "-q", "--sync=none", "-f", "raw", "-o", options, "disk.raw", "out.varve"]),
                (peer, "out.qcow2", ["qemu-img", "convert", "-m", "16", "-W", *theirs, "-f", "raw", "-O", "qcow2", "disk.raw", "out.qcow2"])):
                (folder / target).unlink(missing_ok=True)
                result.add(*measure(command, folder), 0)
                result.size = (folder / target).stat().st_size
        run([varve, "compare", "-q", "disk.raw", "out.varve"], folder)
        print(f"{name:36} {ours.seconds:7.3f}s {peer.seconds:8.3f}s {verdict(ours.seconds / peer.seconds, limit)}", flush=True)
        sizes.append((name, ours, peer))
        if "zstd" in options:
            print_back(varve, folder, runs)
    for name, ours, peer in sizes:
        print(f"{'size, ' + name:36} {ours.size / MIB:6.1f}MiB {peer.size / MIB:6.1f}MiB {verdict(ours.size / peer.size, 1.02)}")
    for name, ours, peer in sizes:
        print(f"{'peak memory, ' + name:36} {ours.memory / MIB:6.0f}MiB {peer.memory / MIB:6.0f}MiB"
              f"         <= 256 MiB {'met' if ours.memory <= 256 * MIB else 'MISSED'}")
    for target in ("out.varve", "out.qcow2"):
        (folder / target).unlink()


def print_back(varve, folder, runs):
    """Of what the last conversion has left."""
    ours, peer = Result(), Result()
    for _ in range(runs):
        for result, command in ((ours, [varve, "convert", "-q", "--sync=none", "out.varve", "out.raw"]),
                                (peer, ["qemu-img", "convert", "-m", "16", "-W", "-f", "qcow2", "-O", "raw", "out.qcow2", "out.raw"])):
            (folder / "out.raw").unlink(missing_ok=True)
            result.add(*measure(command, folder), 0)
    (folder / "out.raw").unlink()
    print(f"{'varve zstd to raw':36} {ours.seconds:7.3f}s {peer.seconds:8.3f}s {verdict(ours.seconds / peer.seconds, 0.50)}", flush=True)


# ---- snapshots ----------------------------------------------------------------------------------------------------------------------------


def milliseconds(command, folder, runs=1):
    return 1000 * min(measure(command, folder)[0] for _ in range(runs))


def print_snapshots(varve, folder, runs):
    """The data compress to nothing: what counts here is how many clusters there are, 163,840."""
    image = "out.varve"

    def fill(*arguments):
        run([varve, "bench", "-f", "varve", "-w", "-s", "1M", "--fill", "1", "--sync=none", *arguments, image], folder)

    def snapshot(*words):
        return [varve, "snapshot", words[0], "-f", "varve", image, *words[1:]]

    def row(name, found, limit):
        print(f"{name:60} {found:8.1f} ms  < {limit} ms {'met' if found < limit else 'MISSED'}", flush=True)

    print("\nsnapshots of 1 TiB with 10 GiB of data; each command opens the image and closes it")
    run([varve, "create", "--force", "-o", "compression=zstd:1", image, "1T"], folder)
    fill("-c", str(10 * GIB // MIB))
    row("open (info)", milliseconds([varve, "info", image], folder, runs), 50)
    row("create", min(milliseconds(snapshot("create", f"first{i}"), folder) for i in range(runs)), 20)
    fill("-c", "64", "--offset", "1G")
    run(snapshot("create", "changed"), folder)
    fill("-c", "64", "--offset", "1G")
    row("delete of one that changed 64 MiB", milliseconds(snapshot("delete", "changed"), folder), 300)
    for i in range(1000):
        run(snapshot("create", f"s{i}"), folder)
        if i % 10 == 0:
            fill("-c", "1", "--offset", f"{i}M")
    row("create, 1,000 being there", min(milliseconds(snapshot("create", f"last{i}"), folder) for i in range(runs)), 20)
    row("open (info), 1,000 being there", milliseconds([varve, "info", image], folder, runs), 50)
    (folder / image).unlink()


# ---- writes and reads ---------------------------------------------------------------------------------------------------------------------


def our_rate(varve, folder, *arguments):
    """Requests a second, the time of the last flush included."""
    command = [varve, "bench", "--json", "-f", "varve", *arguments, "out.varve"]
    done = subprocess.run(command, cwd=folder, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    return json.loads(done.stdout)["iops"]


def their_rate(folder, count, *arguments):
    """The same of qemu-img bench: it flushes when it closes the image, so the whole command is timed; opening takes it milliseconds."""
    seconds, _ = measure(["qemu-img", "bench", "-q", "-f", "qcow2", "-c", str(count), *arguments, "out.qcow2"], folder)
    started = time.monotonic()
    run(["sync", "out.qcow2"], folder)
    return count / (seconds + time.monotonic() - started)


def make_pair(varve, folder, options, full):
    """Empty images of 4 GiB, or all of it written."""
    run([varve, "create", "--force", "-o", options, "out.varve", "4G"], folder)
    run(["qemu-img", "create", "-q", "-f", "qcow2", "out.qcow2", "4G"], folder)
    if full:
        run([varve, "bench", "-f", "varve", "-w", "-s", "4M", "-c", "1024", "out.varve"], folder)
        run(["qemu-img", "bench", "-f", "qcow2", "-w", "-s", "4194304", "-c", "1024", "--pattern=90", "out.qcow2"], folder)
        run(["sync", "out.qcow2"], folder)


def print_rate(name, ours, theirs, limit):
    print(f"{name:56} {ours:9.0f} {theirs:9.0f} {verdict(ours / theirs, limit, at_least=True)}", flush=True)


def print_writes(varve, folder, runs):
    """`runs` does not matter: each is long enough, and changes its image."""
    print(f"\n{'4 KiB writes, 4 GiB disk, stride 1052672':56} {'varve/s':>9} {'qemu/s':>9} {'ratio':>6}  target")
    for full, limit in ((False, 1.5), (True, 0.6)):
        make_pair(varve, folder, "compression=none", full)
        count = 10000  # 8 KiB each in a journal of 16 MiB: five times round
        ours = our_rate(varve, folder, "-w", "-c", str(count), "-S", str(STRIDE), "--flush-interval", "1")
        theirs = their_rate(folder, count, "-w", "-d", "1", "--flush-interval=1", "-S", str(STRIDE))
        print_rate(f"a flush each, {'overwriting' if full else 'fresh'}", ours, theirs, limit)
    make_pair(varve, folder, "compression=none", False)
    ours = our_rate(varve, folder, "-w", "-c", str(CLUSTERS), "-d", "32", "-S", str(STRIDE))
    print_rate("depth 32, each cluster once", ours, their_rate(folder, CLUSTERS, "-w", "-d", "32", "-S", str(STRIDE)), 1.0)
    for options in ("compression=none", "compression=zstd", "compression=none,cluster_size=4K"):
        for full, limit in ((False, 1.0), (True, 0.4)):
            make_pair(varve, folder, options, full)
            ours = our_rate(varve, folder, "-w", "--seconds", "30", "-d", "32", "-S", str(STRIDE))
            theirs = their_rate(folder, 1000000, "-w", "-d", "32", "-S", str(STRIDE))
            print_rate(f"depth 32, {'overwriting' if full else 'fresh'}, {options}", ours, theirs, limit)


def print_reads(varve, folder, runs):
    print(f"\n{'4 KiB reads at depth 32, stride 1052672':56} {'varve/s':>9} {'qemu/s':>9} {'ratio':>6}  target")
    make_pair(varve, folder, "compression=none", True)
    for name, count, ours, limit in (("within the cache of decoded clusters (32 MiB)", 500000, ["--range", "32M"], 3.0),
                                     ("from the page cache (4 GiB)", 200000, [], 1.0)):
        best = max(our_rate(varve, folder, "-c", str(count), "-d", "32", "-S", str(STRIDE), *ours) for _ in range(runs))
        theirs = max(their_rate(folder, count, "-d", "32", "-S", str(STRIDE)) for _ in range(runs))
        print_rate(name, best, theirs, limit)
    for name in ("out.varve", "out.qcow2"):
        (folder / name).unlink()


PARTS = {"native-convert": print_conversions, "native-snapshots": print_snapshots, "native-writes": print_writes, "native-reads": print_reads}
