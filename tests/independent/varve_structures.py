"""Structures of the varve format (sections 3 to 7): headers, superblocks, pointers, objects, and the fields of the catalog."""
import collections
import struct

import xxh3
from codecs_of_varve import Damage, is_zero, require

BLOCK, NODE, FIRST_EXTENT = 4096, 16384, 131072
ABSENT, ZERO, DATA, NODE_KIND = 0, 1, 2, 3
MIB = 1 << 20
ENCRYPTED = 1  # incompatible feature


def sealed(block):
    """Headers end in the tag of all bytes before it."""
    return len(block) == BLOCK and xxh3.tag(block[:4080]) == block[4080:]


Header = collections.namedtuple("Header", "magic version reserved sequence incompatible read_only compatible uuid crypt_uuid cluster_size "
                                "unit node_size codec level journal_size")
Superblock = collections.namedtuple("Superblock", "magic uuid generation nonce flags salt head catalog sessions journal journal_size "
                                    "chain end head_parent last_id epoch")
Pointer = collections.namedtuple("Pointer", "address length birth kind level codec skip tag")  # address and length in bytes
Object = collections.namedtuple("Object", "size parent height root")


def newest_header(copies):
    """(the header, its bytes)."""
    headers = []
    for block in copies:
        header = Header(*struct.unpack_from("<8sI4sQQQQ16s16sIIIHhQ", block)) if sealed(block) else None
        if header and header.magic == b"\x89VRV\r\n\x1a\n":
            headers.append((header, block))
    require(headers, "no header: not a varve image, or both copies are damaged")
    headers.sort(key=lambda pair: pair[0].sequence)
    require(len(headers) == 1 or headers[0][0].sequence != headers[1][0].sequence or headers[0][1] == headers[1][1],
            "two different headers of one sequence")
    header, block = headers[-1]
    require(header.version == 1, f"format version {header.version}")
    require(header.incompatible & ~ENCRYPTED == 0, f"incompatible features {header.incompatible:#x}")
    require(is_zero(header.reserved) and is_zero(block[104:4080]), "header: reserved bytes")
    require(header.sequence >= 1, "header: sequence 0")
    size = header.cluster_size
    require(4096 <= size <= 2 * MIB and size & (size - 1) == 0, f"cluster size {size}")
    require(header.codec <= 2, f"header: codec {header.codec}")
    require(header.unit in (512, 4096) and header.node_size == NODE, "unit or node size")
    journal = header.journal_size
    require(journal == 0 or (65536 <= journal <= 1 << 30 and journal % 8192 == 0), "header: bytes of a journal")
    return header, block


def newest_superblock(slots, header, cipher, file_size):
    """(the superblock, whether the other slot is damaged)."""
    counting = []
    for parity, slot in enumerate(slots):
        block, epoch = cipher.open_superblock(slot) or (None, 0)
        superblock = Superblock(*struct.unpack_from("<8s16sQ12sI32s64s64s32sQQ16sQQQ", block), epoch) if block else None
        if not superblock or superblock.magic != b"\x89VSB\r\n\x1a\n" or superblock.uuid != header.uuid:
            continue
        if 1 <= superblock.generation < 1 << 48 and superblock.generation % 2 == parity:
            counting.append((superblock, block))
    require(counting, "no superblock")
    superblock, block = max(counting, key=lambda pair: pair[0].generation)
    one_is_damaged = len(counting) == 1 and (superblock.generation > 1 or not is_zero(slots[1 - superblock.generation % 2]))
    if one_is_damaged:  # this may be the older one, of which the close of the newer one has cut off the end
        superblock = superblock._replace(end=min(superblock.end, max(FIRST_EXTENT, file_size // BLOCK * BLOCK)))
    require(superblock.flags <= 1, "superblock: flags")
    of_encryption = b"" if header.incompatible & ENCRYPTED else superblock.nonce + superblock.salt + superblock.sessions
    require(is_zero(of_encryption + block[296:4080]), "superblock: reserved bytes")
    require(superblock.end % BLOCK == 0 and superblock.end >= FIRST_EXTENT, "superblock: end of used space")
    at, size = superblock.journal, superblock.journal_size
    require((at == 0) == (size == 0), "superblock: half of a journal")
    if at:
        require(at % BLOCK == 0 and size % (2 * BLOCK) == 0 and FIRST_EXTENT <= at and at + size <= superblock.end, "superblock: journal")
    require(superblock.head_parent <= superblock.last_id, "superblock: the head's parent")
    return superblock, one_is_damaged


def parse_pointer(raw, unit):
    place, what, tag = struct.unpack("<QQ16s", raw)
    kind, level, codec = what >> 48 & 7, what >> 51 & 15, what >> 55 & 15
    pointer = Pointer((place & (1 << 48) - 1) * unit, (place >> 48) * unit, what & (1 << 48) - 1, kind, level, codec, what >> 59, tag)
    require(pointer.skip == 0 or kind == DATA and codec == 0, "pointer: skips what it can't")
    require(kind <= NODE_KIND, f"pointer: kind {kind}")
    if kind == ABSENT:
        require(is_zero(raw), "pointer: an absent one with bytes")
    elif kind == ZERO:
        require(place == 0 and codec == 0 and is_zero(tag), "pointer: a zero with bytes")
    return pointer


def parse_object(raw, header):
    size, parent, height = struct.unpack_from("<QIB", raw)
    require(is_zero(raw[13:32]), "object: reserved bytes")
    require(size <= 1 << 62, "object: size")
    least = 0
    while (512 ** least) * header.cluster_size < size:
        least += 1
    require(height == least, "object: height")
    root = parse_pointer(raw[32:], header.unit)
    require(size > 0 or root.kind == ABSENT, "object: an empty one with a root")
    return Object(size, parent, height, root)


class Fields:
    """Bytes, taken from the front."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, size):
        require(self.at + size <= len(self.data), "catalog: a record or field longer than what holds it")
        self.at += size
        return self.data[self.at - size:self.at]

    def unpack(self, layout):
        return struct.unpack("<" + layout, self.take(struct.calcsize("<" + layout)))

    def text(self, size):
        try:
            return self.take(size).decode("utf-8")
        except UnicodeDecodeError as error:
            raise Damage("catalog: a text that is not UTF-8") from error

    def at_end(self):
        return self.at == len(self.data)
