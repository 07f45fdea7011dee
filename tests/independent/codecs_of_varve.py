"""How clusters are stored in the varve format (5.2), and the errors of varve_reader.py."""
import shutil
import subprocess
import zlib


class Damage(Exception):
    """The file contradicts the page."""


class Unsupported(Exception):
    """The file may be right, but this reader can't read it."""


def require(holds, complaint):
    if not holds:
        raise Damage(complaint)


def is_zero(data):
    return not any(data)


def zstd_frame_length(data, cluster_size):
    """Where the frame ends, found by its headers (RFC 8878, 3.1.1): decoders do not like what stands behind it."""
    def number(at, size):
        require(at + size <= len(data), "zstd: a frame that does not end")
        return int.from_bytes(data[at:at + size], "little")

    require(number(0, 4) == 0xFD2FB528, "zstd: no frame")
    flags = number(4, 1)
    single, checksum = flags >> 5 & 1, flags >> 2 & 1
    at, window = 5, None
    if not single:
        exponent, mantissa = divmod(number(at, 1), 8)
        window = (1 << (10 + exponent)) * (8 + mantissa) // 8
        at += 1
    require(flags & 3 == 0, "zstd: a frame with a dictionary")
    size_bytes = [single, 2, 4, 8][flags >> 6]
    content = number(at, size_bytes) + (256 if size_bytes == 2 else 0)
    require((content if single else window) <= cluster_size, "zstd: a window larger than a cluster")
    at += size_bytes
    last = False
    while not last:
        block = number(at, 3)
        last, kind, size = block & 1, block >> 1 & 3, block >> 3
        require(kind != 3, "zstd: a reserved kind of block")
        at += 3 + (1 if kind == 1 else size)
    at += 4 * checksum
    require(at <= len(data), "zstd: a frame that does not end")
    return at


def zstd_decode(frame):
    for name, decode in (("compression.zstd", lambda module: module.decompress(frame)),
                         ("zstandard", lambda module: module.ZstdDecompressor().decompressobj().decompress(frame)),
                         ("zstd", lambda module: module.decompress(frame))):
        try:
            module = __import__(name, fromlist=["x"])
        except ImportError:
            continue
        try:
            return decode(module)
        except Exception as error:  # each module has its own kinds
            raise Damage(f"zstd: {error}") from error
    if not shutil.which("zstd"):
        raise Unsupported("a cluster is compressed by zstd, and there is neither a module nor a program that decodes it")
    done = subprocess.run(["zstd", "-dcq"], input=frame, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    require(done.returncode == 0, "zstd: a frame that does not decode")
    return done.stdout


def decode_cluster(stored, codec, cluster_size):
    if codec == 0:
        return stored
    if codec == 1:
        decoder = zlib.decompressobj()
        try:
            cluster = decoder.decompress(stored, cluster_size + 1)
        except zlib.error as error:
            raise Damage(f"zlib: {error}") from error
        require(decoder.eof and not decoder.unconsumed_tail, "zlib: a stream that does not end, or is longer than a cluster")
        behind = decoder.unused_data
    else:
        length = zstd_frame_length(stored, cluster_size)
        cluster, behind = zstd_decode(stored[:length]), stored[length:]
    require(len(cluster) == cluster_size, "a cluster that decodes to another length")
    require(is_zero(behind), "bytes behind a compressed cluster")
    return cluster
