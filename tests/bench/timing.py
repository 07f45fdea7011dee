"""What the benchmarks share: running a command and measuring it."""
import os
import subprocess
import sys
import tempfile
import time

MIB = 1 << 20


def measure(command, cwd):
    """Runs it; returns seconds and its peak memory in bytes. VmHWM starts from this script's own, some 15 MiB."""
    with tempfile.TemporaryFile() as output:
        started = time.monotonic()
        child = subprocess.Popen(command, cwd=cwd, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.monotonic() - started
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            output.seek(0)
            sys.exit(f"bench: {' '.join(command)}: exit code {child.returncode}\n{output.read().decode(errors='replace')[-2000:]}")
    return seconds, usage.ru_maxrss * 1024


def run(command, cwd):
    subprocess.run(command, cwd=cwd, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


class Result:
    """The best time, the highest memory, and the last size."""

    def __init__(self):
        self.seconds, self.memory, self.size = float("inf"), 0, 0

    def add(self, seconds, memory, size):
        self.seconds, self.memory, self.size = min(self.seconds, seconds), max(self.memory, memory), size
