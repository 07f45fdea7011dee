"""Changes images of the varve format below their tags: what was changed is sealed again, and so is all that leads to it."""
import struct

import varve_crypto
import xxh3
from codecs_of_varve import Damage
from varve_structures import BLOCK, DATA, NODE, parse_pointer

SUPERBLOCKS = (4096, 69632)
HEADERS = (0, 65536)
ROOT, TABLE = 80 + 32, 208  # pointers in a superblock


class Sealed:
    """The bytes of an image whose disk has a tree of one node, and that image as it is. What stands in the file encrypted is changed in clear."""

    def __init__(self, whole, random, image):
        self.data, self.random = bytearray(whole), random
        self.unit, self.superblock, self.cipher = image.header.unit, image.superblock, image.cipher
        self.encrypted = isinstance(self.cipher, varve_crypto.Cipher)
        self.slot = SUPERBLOCKS[self.superblock.generation % 2]
        self.block = bytearray(self.cipher.open_superblock(whole[self.slot:self.slot + BLOCK])[0])
        self.node = bytearray(self.extent(self.root(), self.cipher.open_extent))

    def touch(self, data, start, length):
        """Another value of one byte, often of one bit."""
        at = start + self.random.randrange(length)
        data[at] = self.random.choice([data[at] ^ 1 << self.random.randrange(8), self.random.randrange(256)])

    def pointer(self, data, at):
        return parse_pointer(bytes(data[at:at + 32]), self.unit)

    def root(self):
        return self.pointer(self.block, ROOT)

    def extent(self, pointer, opener):
        return opener(pointer, bytes(self.data[pointer.address:pointer.address + pointer.length]))

    def put_extent(self, holder, at, clear, message_of=None):
        """What the pointer that stands there leads to; its tag becomes right."""
        pointer, tag = self.pointer(holder, at), None
        if self.encrypted:
            clear, tag = varve_crypto.seal((message_of or self.cipher.data_message)(pointer), clear)
        self.data[pointer.address:pointer.address + pointer.length] = clear
        holder[at + 16:at + 32] = tag or xxh3.tag(bytes(clear))

    def put_superblock(self):
        if self.encrypted:
            message = self.cipher.superblock_message(bytes(self.block), self.superblock.epoch)
            sealed, tag = varve_crypto.seal(message, self.block[44:48] + self.block[80:4080])
            whole = self.block[:44] + sealed[:4] + self.block[48:80] + sealed[4:] + tag
        else:
            whole = self.block[:4080] + xxh3.tag(bytes(self.block[:4080]))
        self.data[self.slot:self.slot + BLOCK] = whole

    def put_node(self):
        self.put_extent(self.block, ROOT, self.node)
        self.put_superblock()

    def put_areas(self, area, authenticated):
        """Both copies of a key area."""
        if authenticated:
            master = self.cipher.masters[max(self.cipher.masters)]
            area[32:64] = varve_crypto.area_mac(master, self.cipher.crypt_uuid, bytes(self.data[:BLOCK]), bytes(area))
        area[4080:4096] = varve_crypto.area_tag(bytes(area))
        for at in varve_crypto.AREAS:
            self.data[at:at + len(area)] = area

    def change_headers(self):
        self.touch(self.data, 0, self.random.choice([104, 4080]))
        self.data[4080:4096] = xxh3.tag(bytes(self.data[:4080]))
        self.data[65536:65536 + 4096] = self.data[:4096]
        if self.encrypted:
            self.put_areas(bytearray(self.cipher.area), self.random.randrange(4))

    def change_superblock(self):
        start, length = self.random.choice([(0, 4080), (24, 24), (80, 64), (144, 64), (240, 56)] + [(48, 32), (208, 32)] * self.encrypted)
        self.touch(self.block, start, length)
        self.put_superblock()

    def change_area(self):
        area = bytearray(self.cipher.area)
        self.touch(area, *self.random.choice([(0, 80), (0, 4096), (4096, 240), (4096, len(area) - 4096)]))
        self.put_areas(area, self.random.randrange(4))

    def change_table(self):
        """Of sessions. Its key does not depend on what it says."""
        table = bytearray(self.extent(self.pointer(self.block, TABLE), self.cipher.open_table))
        used = 16 + 48 * len(self.cipher.sessions) + 24 * len(self.cipher.rewrites)
        self.touch(table, *self.random.choice([(0, 16), (16, used - 16), (16, used - 16), (0, len(table))]))
        self.put_extent(self.block, TABLE, table, self.cipher.table_message)
        self.put_superblock()

    def entries(self):
        """Places of the node's entries that lead to clusters."""
        return [at for at in range(0, NODE, 32) if self.node[at + 14] & 7 == DATA]

    def change_node(self):
        if self.random.randrange(3) == 0:
            self.touch(self.node, 0, NODE)  # often behind the disk's end
        else:
            entry = self.random.choice(self.entries())
            before = self.pointer(self.node, entry)
            clear = self.extent(before, self.cipher.open_extent)
            self.touch(self.node, entry, 16)
            self.put_cluster_again(entry, before, clear)
        self.put_node()

    def put_cluster_again(self, entry, before, clear):
        """Under what its pointer says now, if that is possible: an encrypted one is bound to all of it."""
        try:
            after = self.pointer(self.node, entry)
            if self.encrypted and (after.address, after.length) == (before.address, before.length):
                self.put_extent(self.node, entry, clear)
        except Damage:
            pass

    def change_cluster(self):
        entry = self.random.choice(self.entries())
        clear = bytearray(self.extent(self.pointer(self.node, entry), self.cipher.open_extent))
        part = self.random.choice([len(clear), 16])  # where frames have their headers
        self.touch(clear, self.random.choice([0, len(clear) - part]), part)
        self.put_extent(self.node, entry, clear)
        self.put_node()

    def records(self):
        """(first byte, bytes in clear) of the journal's records."""
        at = self.superblock.journal + self.superblock.generation % 2 * (self.superblock.journal_size // 2)
        found = []
        while self.data[at:at + 4] == b"VJR1":
            length = struct.unpack_from("<I", self.data, at + 4)[0]
            found.append((at, bytearray(self.cipher.open_record(bytes(self.data[at:at + length])))))
            at += length
        return found

    def put_record(self, at, record):
        """Returns its tag."""
        record[64:80] = bytes(16)
        if self.encrypted:
            sealed, tag = varve_crypto.seal(self.cipher.record_message(bytes(record)), record[24:32] + record[80:])
            record = record[:24] + sealed[:8] + record[32:80] + sealed[8:]
        else:
            tag = xxh3.tag(bytes(record))
        self.data[at:at + len(record)] = record[:64] + tag + record[80:]
        return tag

    def change_record(self):
        records = self.records()
        chosen = self.random.randrange(len(records))
        start, record = records[chosen]
        self.touch(record, *self.random.choice([(0, len(record)), (0, 64), (80, 24), (len(record) - 64, 64)]))
        tag = self.put_record(start, record)
        if self.random.randrange(2):  # with those behind it; else their chain ends here
            for start, record in records[chosen + 1:]:
                record[48:64] = tag
                tag = self.put_record(start, record)


def change(whole, random, image):
    """(the changed bytes, what was changed)."""
    sealed = Sealed(whole, random, image)
    what = random.choice(["headers", "superblock", "node", "cluster", "record"] + ["area", "table"] * sealed.encrypted)
    getattr(sealed, f"change_{what}")()
    return bytes(sealed.data), what
