"""Encryption of the varve format (section 13): from a secret and the key areas to what stands in the file in clear.

A cipher opens superblocks, extents and records. It gives the bytes in clear, or None if they are not what was written. Each has a
function that says under which key, nonce and associated data they are.
"""
import collections
import hashlib
import hmac
import struct

import xxh3
from codecs_of_varve import Unsupported, is_zero, require

try:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
except ImportError:
    AESGCM = None

BLOCK, MIB = 4096, 1 << 20
AREAS, AREA_SIZE = (8192, 73728), 57344
SLOTS, SLOT_SIZE = 16, 3072
EMPTY, SCRYPT, PBKDF2, RAW = range(4)

Secret = collections.namedtuple("Secret", "is_raw value")
Slot = collections.namedtuple("Slot", "number kind log2_n r p iterations salt commitment wrapped parameters")
Wrapped = collections.namedtuple("Wrapped", "epoch nonce key tag")
Message = collections.namedtuple("Message", "key nonce associated")  # what AES-GCM takes besides the bytes
Session = collections.namedtuple("Session", "first epoch salt")
Rewrite = collections.namedtuple("Rewrite", "begin end generation")


# Primitives

def hkdf(key, salt, info):
    """RFC 5869 with SHA-256, for one block of 32 bytes."""
    return hmac.digest(hmac.digest(salt, key, "sha256"), info + b"\1", "sha256")


def seal(message, data):
    """(the bytes encrypted, their tag)."""
    sealed = AESGCM(message.key).encrypt(message.nonce, bytes(data), message.associated)
    return sealed[:-16], sealed[-16:]


def unseal(message, data, tag):
    if AESGCM is None:
        raise Unsupported("the image is encrypted, and the Python module 'cryptography' is not there")
    try:
        return AESGCM(message.key).decrypt(message.nonce, bytes(data) + tag, message.associated)
    except InvalidTag:
        return None


# The key area (13.1)

def area_tag(area):
    return xxh3.tag(area[:4080] + bytes(16) + area[4096:])


def newest_area(copies):
    counting = [area for area in copies if area[:8] == b"\x89VKA\r\n\x1a\n" and len(area) == AREA_SIZE and area_tag(area) == area[4080:4096]]
    require(counting, "no key area")
    counting.sort(key=lambda area: area[16:24][::-1])  # by sequence
    require(len(counting) == 1 or counting[0][16:24] != counting[1][16:24] or counting[0] == counting[1],
            "two different key areas of one sequence")
    area = counting[-1]
    version, suite = struct.unpack_from("<II", area, 8)
    if (version, suite) != (1, 1):
        raise Unsupported(f"key area of version {version}, suite {suite}")
    require(is_zero(area[24:32] + area[64:4080] + area[4096 + SLOTS * SLOT_SIZE:]), "key area: reserved bytes")
    return area


def slot_at(area, number):
    """None if it is empty."""
    raw = area[4096 + number * SLOT_SIZE:4096 + (number + 1) * SLOT_SIZE]
    kind, log2_n, r, p, iterations, reserved, salt, commitment = struct.unpack_from("<IIIIQQ32s32s", raw)
    if kind == EMPTY:
        require(is_zero(raw), "key slot: an empty one with bytes")
        return None
    require(kind in (SCRYPT, PBKDF2, RAW), f"key slot: type {kind}")
    require(reserved == 0 and is_zero(raw[224:]), "key slot: reserved bytes")
    wrapped = []
    for at in (96, 160):
        key = Wrapped(*struct.unpack_from("<I12s32s16s", raw, at))
        if key.epoch == 0:
            require(is_zero(raw[at:at + 64]), "key slot: no master key with bytes")
        else:
            require(len(wrapped) == (at - 96) // 64 and (not wrapped or wrapped[0].epoch < key.epoch), "key slot: epochs")
            wrapped.append(key)
    require(wrapped, "key slot: no master key")
    return Slot(number, kind, log2_n, r, p, iterations, salt, commitment, wrapped, raw[:96])


# From a secret to the master keys (13.2)

def stretch(slot, secret):
    """K, or None if the slot is not for this kind of secret."""
    if secret.is_raw or slot.kind == RAW:
        return secret.value if secret.is_raw and slot.kind == RAW else None
    if slot.kind == PBKDF2:
        require(1 <= slot.iterations <= 10**7, "key slot: iterations")
        return hashlib.pbkdf2_hmac("sha256", secret.value, slot.salt, slot.iterations, 32)
    require(1 <= slot.log2_n <= 30 and 1 <= slot.r and 1 <= slot.p <= 16, "key slot: parameters of scrypt")
    memory = 128 * slot.r << slot.log2_n
    require(memory <= 1 << 30, "key slot: memory for scrypt")
    return hashlib.scrypt(secret.value, salt=slot.salt, n=1 << slot.log2_n, r=slot.r, p=slot.p, maxmem=memory + MIB * slot.r * slot.p, dklen=32)


def wrapping_key(key, salt):
    return hkdf(key, salt, b"varve slot wrap")


def commitment(key, salt):
    return hkdf(key, salt, b"varve slot commit")


def wrap_message(wrap, area, crypt_uuid, slot, wrapped):
    return Message(wrap, wrapped.nonce, area[:16] + crypt_uuid + struct.pack("<II", slot.number, wrapped.epoch) + slot.parameters)


def master_keys(area, crypt_uuid, secret):
    """By epoch, ascending."""
    slots = [slot for slot in (slot_at(area, number) for number in range(SLOTS)) if slot]
    require(slots, "no key slot is filled")
    for slot in slots:
        key = stretch(slot, secret)
        if key is None or not hmac.compare_digest(commitment(key, slot.salt), slot.commitment):
            continue
        keys = {}
        for wrapped in slot.wrapped:
            message = wrap_message(wrapping_key(key, slot.salt), area, crypt_uuid, slot, wrapped)
            keys[wrapped.epoch] = unseal(message, wrapped.key, wrapped.tag)
            require(keys[wrapped.epoch], f"key slot {slot.number}: its master key is not what was written")
        return keys
    raise Unsupported("the image is encrypted, and no key slot is opened by what was given")


def area_mac(master_key, crypt_uuid, header_block, area):
    without = area[:32] + bytes(32) + area[64:4080] + bytes(16) + area[4096:]
    return hmac.digest(hkdf(master_key, crypt_uuid, b"varve key area"), header_block + without, "sha256")


# What is encrypted (13.3, 13.4)

def derived(master_key, salt, label, crypt_uuid, generation, part):
    return hkdf(master_key, salt, label + crypt_uuid + struct.pack("<QQ", generation, part))


def six(number):
    return struct.pack("<Q", number)[:6]


def extent_message(key, crypt_uuid, pointer, unit, generation):
    """`key` is one of data or of a table of sessions. Address and length of the pointer are bytes."""
    what = pointer.kind | pointer.level << 8 | pointer.codec << 16 | pointer.skip << 24
    return Message(key, six(pointer.address // unit) + six(generation),
                   crypt_uuid + struct.pack("<QQQQ", what, pointer.length, pointer.birth, generation))


class Clear:
    """Of images that are not encrypted."""

    def open_superblock(self, block):
        """(the superblock in clear, epoch of its master key)."""
        return (block, 0) if len(block) == BLOCK and xxh3.tag(block[:4080]) == block[4080:] else None

    def open_extent(self, pointer, data):
        return data if xxh3.tag(data) == pointer.tag else None

    def open_record(self, record):
        return record if xxh3.tag(record[:64] + bytes(16) + record[80:]) == record[64:80] else None


class Cipher:
    """Of images that are."""

    def __init__(self, header, header_block, copies, secret):
        self.crypt_uuid, self.unit = header.crypt_uuid, header.unit
        self.area = newest_area(copies)
        if secret is None:
            raise Unsupported("the image is encrypted, and no key was given")
        self.masters = master_keys(self.area, self.crypt_uuid, secret)
        self.mac = area_mac(self.masters[max(self.masters)], self.crypt_uuid, header_block, self.area)
        require(hmac.compare_digest(self.mac, self.area[32:64]), "header or key area: not what was written (MAC)")
        self.current, self.sessions, self.rewrites, self.keys = None, [], [], {}

    def key(self, label, session, generation, part=0):
        require(session.epoch in self.masters, f"no key slot holds the master key of epoch {session.epoch}")
        return derived(self.masters[session.epoch], session.salt, label, self.crypt_uuid, generation, part)

    # Superblocks

    def superblock_message(self, block, epoch):
        salt, generation = block[48:80], struct.unpack_from("<Q", block, 24)[0]
        key = self.key(b"varve superblock", Session(0, epoch, salt), generation)
        return Message(key, block[32:44], self.crypt_uuid + block[:32] + salt)

    def open_superblock(self, block):
        if len(block) != BLOCK:
            return None
        for epoch in self.masters:
            opened = unseal(self.superblock_message(block, epoch), block[44:48] + block[80:4080], block[4080:])
            if opened:
                return block[:44] + opened[:4] + block[48:80] + opened[4:] + block[4080:], epoch
        return None

    def take_superblock(self, superblock):
        """The one that the image is read through."""
        self.current = Session(None, superblock.epoch, superblock.salt)

    # Sessions

    def table_message(self, pointer):
        key = self.key(b"varve sessions", self.current, pointer.birth)
        return extent_message(key, self.crypt_uuid, pointer, self.unit, pointer.birth)

    def open_table(self, pointer, data):
        return unseal(self.table_message(pointer), data, pointer.tag)

    def load_sessions(self, table, generation):
        magic, count, rewrites, reserved = struct.unpack_from("<4sIII", table)
        end = 16 + 48 * count + 24 * rewrites
        require(magic == b"VSES" and reserved == 0 and end <= len(table) and is_zero(table[end:]), "table of sessions: its head or length")
        for at in range(16, 16 + 48 * count, 48):
            first, epoch, reserved, salt = struct.unpack_from("<QII32s", table, at)
            require(reserved == 0, "table of sessions: reserved bytes")
            require((self.sessions[-1].first if self.sessions else 0) < first, "table of sessions: first generations")
            self.sessions.append(Session(first, epoch, salt))
        require(self.sessions and self.sessions[-1][1:] == self.current[1:], "table of sessions: the last one is not the superblock's")
        require(self.sessions[-1].first <= generation, "table of sessions: one that begins behind the superblock")
        self.rewrites = [Rewrite(*struct.unpack_from("<QQQ", table, at)) for at in range(end - 24 * rewrites, end, 24)]
        require(all(rewrite.begin < rewrite.end and 1 <= rewrite.generation < 1 << 48 for rewrite in self.rewrites),
                "table of sessions: a rewrite")

    def session_of(self, generation):
        before = [session for session in self.sessions if session.first <= generation]
        require(before, f"no session has written generation {generation}")
        return before[-1]

    # Extents

    def generation_of(self, pointer):
        """In which it was encrypted."""
        return max([pointer.birth] + [rewrite.generation for rewrite in self.rewrites
                                      if rewrite.begin <= pointer.address < rewrite.end and pointer.birth < rewrite.generation])

    def data_message(self, pointer):
        generation = self.generation_of(pointer)
        place = (generation, pointer.address // self.unit >> 22)
        if place not in self.keys:
            self.keys[place] = self.key(b"varve data", self.session_of(generation), *place)
        return extent_message(self.keys[place], self.crypt_uuid, pointer, self.unit, generation)

    def open_extent(self, pointer, data):
        return unseal(self.data_message(pointer), data, pointer.tag)

    # Journal records

    def record_message(self, record):
        generation, sequence = struct.unpack_from("<QQ", record, 8)
        key = self.key(b"varve journal", self.current, generation)
        return Message(key, six(sequence) + six(generation), self.crypt_uuid + record[:24] + record[32:64])

    def open_record(self, record):
        opened = unseal(self.record_message(record), record[24:32] + record[80:], record[64:80])
        return opened and record[:24] + opened[:8] + record[32:80] + opened[8:]
