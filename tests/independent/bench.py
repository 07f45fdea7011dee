"""What the cases of reader_test.py work with: images that the library makes, and both readers."""
import os
import pathlib
import random
import subprocess
import sys

import varve_crypto
import varve_reader

TOOL = os.environ.get("VARVE_TEST_CLI", "varve")
SEED = int(os.environ.get("VARVE_TEST_SEED", "20261123"), 0)
DIVISOR = max(1, int(os.environ.get("VARVE_TEST_SEEDS_DIVISOR", "1")))
KIB, MIB = 1024, 1 << 20
CONFIGURATIONS = [f"cluster_size={size},compression={codec}" for size in ("4K", "64K", "2M") for codec in ("none", "zlib", "zstd")]
ENCRYPTION = "encryption=aes-256-gcm"
ENCRYPTED = [f"cluster_size=4K,{ENCRYPTION}", f"cluster_size=64K,compression=zstd,{ENCRYPTION}", f"cluster_size=2M,compression=zlib,{ENCRYPTION}"]
KEY = bytes((1 + 7 * i) % 256 for i in range(32))  # tests/support/secrets.h


class Skipped(Exception):
    pass


class Bench:
    """A directory to work in, and the two programs."""

    def __init__(self, directory, writer, conformance_images):
        self.directory, self.writer, self.conformance_images = pathlib.Path(directory), writer, conformance_images
        self.image, self.raw, self.out = (self.directory / name for name in ("image.varve", "image.raw", "out.raw"))
        self.random = random.Random(SEED)
        self.key = self.secret_file("key", KEY)
        self.secret = varve_crypto.Secret(True, KEY)
        self.opening, self.new = (["--key-file", self.key, "--key-format", "raw"], ["--out-key-file", self.key, "--out-key-format", "raw"])

    def secret_file(self, name, content):
        path = self.directory / name
        path.write_bytes(content)
        path.chmod(0o600)
        return path

    def with_passphrase(self, content):
        """From here on what is made and opened is under this one."""
        path = self.secret_file("passphrase", content)
        self.secret = varve_crypto.Secret(False, content)
        self.opening, self.new = ["--key-file", path], ["--out-key-file", path]

    def tool(self, *arguments):
        return subprocess.run([TOOL, *map(str, [*arguments, *self.opening])], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)

    def done(self, *arguments):
        result = self.tool(*arguments)
        assert result.returncode == 0, f"varve {' '.join(map(str, arguments))}: {result.stderr}"

    def make(self, options, contents):
        """An image by conversion of these bytes."""
        self.raw.write_bytes(contents)
        new = self.new if ENCRYPTION in options else []
        self.done("convert", "--sync=none", "--force", "-f", "raw", "-O", "varve", "-o", options, *new, self.raw, self.image)

    def by_library(self, path=None, snapshot=None, *options):
        """The disk's bytes, or None if the library refuses."""
        options = [*options, "-l", snapshot] if snapshot else options
        result = self.tool("convert", "--sync=none", "--force", "-f", "varve", "-O", "raw", *options, path or self.image, self.out)
        assert result.returncode in (0, 1), f"exit code {result.returncode}: {result.stderr}"
        return self.out.read_bytes() if result.returncode == 0 else None

    def open(self, path=None, accept_older_state=False):
        if varve_crypto.AESGCM is None and (path or self.image).read_bytes()[24:25] == b"\1":
            raise Skipped("the Python module 'cryptography' is not there")
        return varve_reader.Image(path or self.image, self.secret, accept_older_state)

    def by_reader(self, path=None, snapshot=None, accept_older_state=False, parent_disk=None):
        try:
            image = self.open(path, accept_older_state)
            image.parent_disk = parent_disk
            varve_reader.dump(image, snapshot, self.out)
            return self.out.read_bytes()
        except (varve_reader.Damage, varve_reader.Unsupported):
            return None

    def reader_program(self, *arguments, **environment):
        reader = pathlib.Path(__file__).with_name("varve_reader.py")
        return subprocess.run([sys.executable, "-B", reader, *map(str, arguments)], env={**os.environ, **environment},
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)

    def write(self, contents, commands):
        """Lets the library change the image and end without closing it. `contents` follows, a bytearray; returns it after each flush."""
        data, lines, states = bytearray(), [], [bytes(contents)]
        for name, *arguments in commands:
            if name == "write":
                offset, written = arguments
                lines.append(f"write {offset} {len(written)} {len(data)}")
                data += written
                contents[offset:offset + len(written)] = written
            else:
                lines.append(" ".join(map(str, [name, *arguments])))
            if name == "zero":
                contents[arguments[0]:sum(arguments)] = bytes(arguments[1])
            elif name == "resize":
                contents[arguments[0]:] = bytes(max(0, arguments[0] - len(contents)))
            elif name in ("flush", "close"):
                states.append(bytes(contents))
        (self.directory / "data").write_bytes(data)
        result = subprocess.run([self.writer, self.image, self.directory / "data"], input="\n".join(lines), text=True, check=False,
                                stderr=subprocess.PIPE)
        assert result.returncode == 0, f"image_writer: {result.stderr}"
        return states

    def noise(self, length):
        return self.random.randbytes(length)

    def text(self, length):
        """Compressible."""
        return (b"".join(b"%d of %d, " % (i, self.random.randrange(1000)) for i in range(length // 8 + 1)))[:length]

    def mixture(self, length):
        """Zeros, text and noise in runs of many lengths."""
        out = bytearray()
        while len(out) < length:
            run = self.random.choice([512, 4 * KIB, 9000, 64 * KIB, 300 * KIB])
            out += self.random.choice([bytes, self.noise, self.text])(run)
        return bytes(out[:length])


def same(got, expected, what):
    if got == expected:
        return
    if got is None or expected is None or len(got) != len(expected):
        sizes = ["refused" if data is None else f"{len(data)} bytes" for data in (got, expected)]
        raise AssertionError(f"{what}: {sizes[0]}, not {sizes[1]}")
    first = next(i for i, (a, b) in enumerate(zip(got, expected)) if a != b)
    raise AssertionError(f"{what}: other bytes from {first} on")


def in_place_writes(bench, size, cluster):
    """A few that a journal takes, flushed one by one; the first flush makes it."""
    commands = []
    for i in range(12):
        offset, length = bench.random.randrange(size - 9000), bench.random.choice([1, 512, 4096, 9000])
        commands += [("write", offset, bench.random.choice([bench.noise, bench.text])(length)), ("flush",)]
        if i == 5:
            commands += [("zero", cluster, 2 * cluster), ("flush",), ("write", cluster + 4096, bench.noise(512)), ("flush",)]
    return commands
