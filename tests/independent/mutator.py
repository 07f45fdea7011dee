"""Changes images of the varve format below their tags: what was changed is sealed again, and so is all that leads to it."""
import struct

import varve_reader
import xxh3

SUPERBLOCKS = (4096, 69632)
HEADERS = (0, 65536)


class Sealed:
    """The bytes of an image whose disk has a tree of one node, or of none."""

    def __init__(self, whole, random):
        self.data, self.random = bytearray(whole), random
        header = varve_reader.Header(*struct.unpack_from("<8sI4sQQQQ16s16sIIIHhQ", whole))
        superblock, _ = varve_reader.newest_superblock([whole[at:at + 4096] for at in SUPERBLOCKS], header, len(whole))
        self.unit, self.superblock = header.unit, superblock
        self.slot = SUPERBLOCKS[superblock.generation % 2]

    def touch(self, start, length):
        """Another value of one byte, often of one bit."""
        at = start + self.random.randrange(length)
        self.data[at] = self.random.choice([self.data[at] ^ 1 << self.random.randrange(8), self.random.randrange(256)])

    def seal(self, block):
        self.data[block + 4080:block + 4096] = xxh3.tag(bytes(self.data[block:block + 4080]))

    def pointer(self, at):
        """(first byte, length) of what the pointer at this place leads to."""
        pointer = varve_reader.parse_pointer(bytes(self.data[at:at + 32]), self.unit)
        return pointer.address, pointer.length

    def seal_pointer(self, at):
        start, length = self.pointer(at)
        self.data[at + 16:at + 32] = xxh3.tag(bytes(self.data[start:start + length]))

    def change_headers(self):
        self.touch(0, self.random.choice([104, 4080]))
        self.data[65536:65536 + 4080] = self.data[:4080]
        for at in HEADERS:
            self.seal(at)

    def change_superblock(self):
        start, length = self.random.choice([(0, 4080), (24, 24), (80, 64), (144, 64), (240, 56)])
        self.touch(self.slot + start, length)
        self.seal(self.slot)

    ROOT = 80 + 32

    def entries(self):
        """Places of the entries of the disk's only node that lead to clusters."""
        node, length = self.pointer(self.slot + self.ROOT)
        assert length == varve_reader.NODE
        return [at for at in range(node, node + length, 32) if self.data[at + 14] & 7 == varve_reader.DATA]

    def change_node(self):
        node, length = self.pointer(self.slot + self.ROOT)
        if self.random.randrange(3) == 0:
            self.touch(node, length)  # often behind the disk's end
        else:
            self.touch(self.random.choice(self.entries()), 16)
        self.seal_pointer(self.slot + self.ROOT)
        self.seal(self.slot)

    def change_cluster(self):
        entry = self.random.choice(self.entries())
        start, length = self.pointer(entry)
        part = self.random.choice([length, 16])  # where frames have their headers
        self.touch(self.random.choice([start, start + length - part]), part)
        self.seal_pointer(entry)
        self.seal_pointer(self.slot + self.ROOT)
        self.seal(self.slot)

    def records(self):
        """(first byte, length) of the journal's records."""
        at = self.superblock.journal + self.superblock.generation % 2 * (self.superblock.journal_size // 2)
        found = []
        while self.data[at:at + 4] == b"VJR1":
            found.append((at, struct.unpack_from("<I", self.data, at + 4)[0]))
            at += found[-1][1]
        return found

    def change_record(self):
        records = self.records()
        chosen = self.random.randrange(len(records))
        start, length = records[chosen]
        self.touch(*self.random.choice([(start, length), (start, 64), (start + 80, 24), (start + length - 64, 64)]))
        # With those behind it, or so that their chain ends here.
        following = self.random.randrange(2)
        for start, length in records[chosen:] if following else [records[chosen]]:
            self.data[start + 64:start + 80] = bytes(16)
            tag = xxh3.tag(bytes(self.data[start:start + length]))
            self.data[start + 64:start + 80] = tag
            if following and start + length in {at for at, _ in records}:
                self.data[start + length + 48:start + length + 64] = tag


def change(whole, random):
    """(the changed bytes, what was changed)."""
    sealed = Sealed(whole, random)
    what = random.choice(["headers", "superblock", "node", "cluster", "record"])
    getattr(sealed, f"change_{what}")()
    return bytes(sealed.data), what
