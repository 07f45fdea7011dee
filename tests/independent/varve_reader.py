#!/usr/bin/env python3
"""A reader of the varve format that shares nothing with the library: written from docs/formats/varve.md alone.

varve_reader.py info FILE                           what the image holds, as JSON
varve_reader.py dump [--snapshot NAME] FILE OUT     the disk (with what its journal holds), or a snapshot, as a raw file

With --passphrase KEY or --raw-key KEY the file KEY holds what opens an encrypted image. Exit code 1 and one line on standard error: the file is damaged, or needs what this
reader does not have. Section numbers are the page's.
"""
import argparse
import collections
import json
import os
import struct
import sys
import uuid

import varve_crypto
from codecs_of_varve import Damage, Unsupported, decode_cluster, is_zero, require
from varve_structures import (ABSENT, BLOCK, DATA, ENCRYPTED, FIRST_EXTENT, MIB, NODE, ZERO, Fields, newest_header, newest_superblock,
                              parse_object, parse_pointer)

Snapshot = collections.namedtuple("Snapshot", "name id parent generation time hidden held uuid object")
Parent = collections.namedtuple("Parent", "id format path identity")
Change = collections.namedtuple("Change", "offset length data")  # data: None for zeros


class Image:
    def __init__(self, path, secret=None, accept_older_state=False):
        self.file = open(path, "rb")
        self.file_size = os.fstat(self.file.fileno()).st_size
        self.header, header_block = newest_header([self.bytes_at(0, BLOCK), self.bytes_at(65536, BLOCK)])
        encrypted = self.header.incompatible & ENCRYPTED
        areas = [self.bytes_at(at, varve_crypto.AREA_SIZE) for at in varve_crypto.AREAS]
        self.cipher = varve_crypto.Cipher(self.header, header_block, areas, secret) if encrypted else varve_crypto.Clear()
        slots = [self.bytes_at(4096, BLOCK), self.bytes_at(69632, BLOCK)]
        self.superblock, self.one_superblock = newest_superblock(slots, self.header, self.cipher, self.file_size)
        if encrypted and self.one_superblock and not accept_older_state:
            raise Unsupported("only one superblock counts, so this may be an older state")
        require(self.file_size >= self.superblock.end, "the file was cut short")
        if encrypted:
            self.load_sessions()
        self.head = parse_object(self.superblock.head, self.header)
        self.snapshots, self.parents, self.attachments = {}, {}, {}
        self.parent_disk = None  # the bytes of what parent references name, from whoever knows them
        self.load_catalog(parse_object(self.superblock.catalog, self.header))
        self.check_snapshots()
        for thing in [self.head] + [snapshot.object for snapshot in self.snapshots.values()]:
            require(thing.parent == 0 or thing.parent in self.parents, "object: a parent reference that is not in the catalog")

    def bytes_at(self, at, size):
        self.file.seek(at)
        return self.file.read(size)

    def load_sessions(self):
        pointer, generation = parse_pointer(self.superblock.sessions, self.header.unit), self.superblock.generation
        require((pointer.kind, pointer.level, pointer.codec, pointer.skip) == (DATA, 0, 0, 0), "table of sessions: its pointer")
        require(pointer.length <= 16 * MIB and pointer.length % BLOCK == 0, "table of sessions: length")
        self.cipher.take_superblock(self.superblock)
        self.cipher.load_sessions(self.stored(pointer, generation, "table of sessions", self.cipher.open_table), generation)

    # Trees (5 and 6)

    def stored(self, pointer, limit, what, opener=None):
        """The verified bytes of a node or cluster."""
        begin, end, superblock = pointer.address, pointer.address + pointer.length, self.superblock
        require(1 <= pointer.birth <= limit, f"{what}: birth")
        require(pointer.length > 0 and FIRST_EXTENT <= begin and end <= superblock.end, f"{what}: outside of used space")
        require(end <= superblock.journal or begin >= superblock.journal + superblock.journal_size, f"{what}: in the journal")
        data = self.bytes_at(begin, pointer.length)
        require(len(data) == pointer.length, f"{what} at {begin}: the file ends")
        opened = (opener or self.cipher.open_extent)(pointer, data)
        require(opened is not None, f"{what} at {begin}: not what was written (tag)")
        return opened

    def walk(self, thing, limit):
        """(offset, length, bytes or None for zeros) of everything in an object that is not absent, in order."""
        def below(pointer, level, first, birth_limit):
            covered = 512 ** level
            offset, size = first * cluster_size, min(covered * cluster_size, thing.size - first * cluster_size)
            if pointer.kind == ABSENT:
                if thing.parent and self.parent_disk is None:
                    raise Unsupported(f"bytes from {offset} on come from the parent {self.parents[thing.parent]}")
                if thing.parent:
                    yield offset, size, self.parent_disk[offset:offset + size].ljust(size, b"\0")
                return
            require(pointer.level == level, "pointer: level")
            if pointer.kind == ZERO:
                require(1 <= pointer.birth <= birth_limit, "zero: birth")
                yield offset, size, None
            elif pointer.kind == DATA:
                require(level == 0, "pointer: data above level 0")
                require(pointer.codec <= 2, f"codec {pointer.codec}")
                granule = max(BLOCK, cluster_size // 32)
                before = pointer.skip * granule
                part_is_right = pointer.length % granule == 0 and before + pointer.length <= cluster_size
                require(part_is_right if pointer.codec == 0 else pointer.length < cluster_size, "cluster: stored length")
                stored = self.stored(pointer, birth_limit, "cluster")
                taken.append((pointer.address, pointer.length))
                cluster = (bytes(before) + decode_cluster(stored, pointer.codec, cluster_size)).ljust(cluster_size, b"\0")
                yield offset, size, cluster[:size]  # what stands behind the object's size is for a check
            else:
                require(level >= 1, "pointer: a node at level 0")
                require(pointer.codec == 0 and pointer.length == NODE and pointer.address % BLOCK == 0, "node: length, codec or place")
                node = self.stored(pointer, birth_limit, "node")
                taken.append((pointer.address, pointer.length))
                for i in range(512):
                    entry = parse_pointer(node[32 * i:32 * i + 32], self.header.unit)
                    start = first + i * (covered // 512)
                    if start * cluster_size >= thing.size:
                        require(entry.kind == ABSENT, "an entry behind the object's size")
                    else:
                        yield from below(entry, level - 1, start, pointer.birth)

        cluster_size, taken = self.header.cluster_size, []
        if thing.size:
            yield from below(thing.root, thing.height, 0, limit)
        taken.sort()
        require(all(a + length <= b for (a, length), (b, _) in zip(taken, taken[1:])), "two extents share bytes")

    # The catalog (7)

    def load_catalog(self, thing):
        require(thing.size <= 16 * MIB, "catalog: size")
        require(thing.parent == 0, "catalog: a parent")
        if thing.size == 0:
            return
        content = bytearray(thing.size)
        for offset, size, data in self.walk(thing, self.superblock.generation):
            content[offset:offset + size] = data or bytes(size)
        fields = Fields(bytes(content))
        magic, count, reserved = fields.unpack("4sIQ")
        require(magic == b"VCAT" and reserved == 0, "catalog: magic or reserved bytes")
        for _ in range(count):
            kind, flags, object_count, length, reserved = fields.unpack("IHHII")
            require(reserved == 0 and flags <= 3, "catalog: reserved bytes or flags of a record")
            objects = [parse_object(fields.take(64), self.header) for _ in range(object_count)]
            payload = Fields(fields.take(length))
            require(is_zero(fields.take(-length % 8)), "catalog: bytes between records")
            self.load_record(kind, flags, objects, payload)
        require(fields.at_end(), "catalog: bytes behind the records")

    def load_record(self, kind, flags, objects, payload):
        if kind not in (1, 2, 3):
            require(flags & 1 == 0, f"catalog: a record of type {kind}, which a reader must know")
            return
        require(flags == {1: 3, 2: 3, 3: 0}[kind] and len(objects) == {1: 1, 2: 0, 3: 1}[kind], f"catalog: flags or objects of type {kind}")
        if kind == 1:
            its_uuid, its_id, parent, generation, time, its_flags, name_length = payload.unpack("16sQQQQII")
            require(its_flags <= 3 and name_length <= 1024, "snapshot: flags or length of the name")
            require(its_id and its_id not in self.snapshots and its_id <= self.superblock.last_id, "snapshot: id")
            self.snapshots[its_id] = Snapshot(payload.text(name_length), its_id, parent, generation, time, its_flags & 1 != 0,
                                              its_flags & 2 != 0, str(uuid.UUID(bytes=its_uuid)), objects[0])
        elif kind == 2:
            its_id, *lengths = payload.unpack("IIII")
            require(its_id and its_id not in self.parents, "parent reference: id")
            self.parents[its_id] = Parent(its_id, *[payload.text(length) for length in lengths])
        else:
            its_id, snapshot, _, name_length, reserved = payload.unpack("QQQII")
            require(reserved == 0 and 1 <= name_length <= 1024, "attachment: reserved bytes or length of the name")
            require(its_id and its_id not in self.attachments and objects[0].parent == 0, "attachment: id or parent")
            name = (snapshot, payload.text(name_length))
            require(name not in self.attachments.values(), "attachment: name")
            self.attachments[its_id] = name
        require(payload.at_end(), "catalog: bytes behind a payload")

    def check_snapshots(self):
        names = [snapshot.name for snapshot in self.snapshots.values() if not snapshot.hidden]
        require(len(set(names)) == len(names) and "" not in names, "snapshots: names")
        require(self.superblock.head_parent in {0, *self.snapshots}, "the head's parent is no snapshot")
        for snapshot in self.snapshots.values():
            require(not (snapshot.hidden and snapshot.name), "snapshot: a hidden one with a name")
            require(1 <= snapshot.generation <= self.superblock.generation, "snapshot: generation")
            if snapshot.parent:  # generations that grow downwards can't form a circle
                require(snapshot.parent in self.snapshots, "snapshot: its parent is none")
                require(self.snapshots[snapshot.parent].generation < snapshot.generation, "snapshot: generation")

    # The journal (9)

    def journal(self):
        """(the number of records, what they change in the disk, in order)."""
        superblock = self.superblock
        if not superblock.journal or superblock.flags & 1:
            return 0, []
        half_size = superblock.journal_size // 2
        half = self.bytes_at(superblock.journal + superblock.generation % 2 * half_size, half_size)
        at, sequence, previous, changes = 0, 0, bytes(16), []
        while (record := self.record_at(half, at)) and record[0] == sequence + 1 and record[1] == previous:
            sequence, data = record[0], record[2]
            changes += self.changes_of(data)
            at, previous = at + len(data), data[64:80]
        for later in range(at, half_size, BLOCK):
            record = self.record_at(half, later)
            require(not record or record[0] <= sequence, "journal: a record is lost before others")
        return sequence, changes

    def record_at(self, half, at):
        """(sequence, tag of the one before, bytes in clear) of what is a whole record of this generation and chain, or None."""
        if at + 80 > len(half):
            return None
        magic, length, generation, sequence, _, chain, previous = struct.unpack_from("<4sIQQ8s16s16s", half, at)
        if (magic, generation, chain) != (b"VJR1", self.superblock.generation, self.superblock.chain):
            return None
        if length == 0 or length % BLOCK or at + length > len(half):
            return None
        data = self.cipher.open_record(half[at:at + length])
        return (sequence, previous, data) if data else None

    def changes_of(self, record):
        count, reserved = struct.unpack_from("<II", record, 24)
        at = 80 + 24 * count
        require(reserved == 0 and at <= len(record), "journal: a record's changes")
        changes = []
        for i in range(count):
            offset, length, kind, reserved = struct.unpack_from("<QQII", record, 80 + 24 * i)
            require(1 <= kind <= 3 and reserved == 0, "journal: type of a change")
            end = offset + length
            require(end <= self.head.size, "journal: a change behind the disk's size")
            require(offset % BLOCK == 0 and (end % BLOCK == 0 or end == self.head.size), "journal: a change of part of a block")
            if kind == 1:
                require(at + length <= len(record), "journal: a write longer than its record")
                changes.append(Change(offset, length, record[at:at + length]))
                at += length
            else:
                changes.append(Change(offset, length, None))
        require(is_zero(record[at:]), "journal: bytes behind a record's writes")
        return changes


def info(image):
    superblock, header = image.superblock, image.header
    snapshots = [dict(snapshot._asdict(), object=None, size=snapshot.object.size) for snapshot in image.snapshots.values()]
    for snapshot in snapshots:
        del snapshot["object"]
    print(json.dumps({
        "size": image.head.size, "generation": superblock.generation, "clean": superblock.flags & 1 != 0,
        "uuid": str(uuid.UUID(bytes=header.uuid)), "cluster_size": header.cluster_size, "unit": header.unit,
        "end_of_used_space": superblock.end, "journal_size": superblock.journal_size,
        "journal_records": image.journal()[0], "one_superblock_is_damaged": image.one_superblock, "head_parent": superblock.head_parent,
        "parent_reference": image.head.parent, "snapshots": snapshots, "parents": [parent._asdict() for parent in image.parents.values()]},
        indent=2))


def write_zeros(out, size):
    while size > 0:
        size -= out.write(bytes(min(size, MIB)))


def dump(image, snapshot_name, path):
    if snapshot_name is None:
        thing, limit, changes = image.head, image.superblock.generation, image.journal()[1]
    else:
        found = [snapshot for snapshot in image.snapshots.values() if snapshot.name == snapshot_name and not snapshot.hidden]
        require(found, f"no snapshot is named {snapshot_name}")
        thing, limit, changes = found[0].object, found[0].generation, []
    with open(path, "wb") as out:
        out.truncate(thing.size)  # what is not written is zeros
        for offset, _, data in image.walk(thing, limit):
            if data:
                out.seek(offset)
                out.write(data)
        for change in changes:
            out.seek(change.offset)
            if change.data is None:
                write_zeros(out, change.length)
            else:
                out.write(change.data)


def secret_of(arguments):
    path = arguments.raw_key or arguments.passphrase
    if not path:
        return None
    with open(path, "rb") as file:
        value = file.read()
    return varve_crypto.Secret(True, value) if arguments.raw_key else varve_crypto.Secret(False, value.rstrip(b"\r\n"))


def main():
    parser = argparse.ArgumentParser(description="Reads images in the varve format.")
    commands = parser.add_subparsers(dest="command", required=True)
    of_info, of_dump = commands.add_parser("info"), commands.add_parser("dump")
    of_dump.add_argument("--snapshot")
    for command in (of_info, of_dump):
        keys = command.add_mutually_exclusive_group()
        keys.add_argument("--passphrase", metavar="KEY")
        keys.add_argument("--raw-key", metavar="KEY")
        command.add_argument("--accept-older-state", action="store_true", help="of an encrypted image one superblock is enough")
        command.add_argument("file")
    of_dump.add_argument("out")
    arguments = parser.parse_args()
    try:
        image = Image(arguments.file, secret_of(arguments), arguments.accept_older_state)
        if arguments.command == "info":
            info(image)
        else:
            if image.one_superblock:
                print("varve_reader: one of the two superblocks is damaged", file=sys.stderr)
            dump(image, arguments.snapshot, arguments.out)
    except (Damage, Unsupported, OSError) as error:
        print(f"varve_reader: {arguments.file}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
