"""The test vectors of encryption (section 15 of the page), by the functions of varve_crypto.py: `vectors.py` prints them."""
import struct

import varve_crypto
from varve_structures import DATA, NODE, NODE_KIND, Pointer

UNIT = 4096


def counting(first, size):
    return bytes(range(first, first + size))


def computed():
    """(what it is, its bytes) in the page's order."""
    raw_key, slot_salt, master, salt, crypt_uuid = (counting(first, size) for first, size in
                                                    ((0, 32), (0x20, 32), (0x40, 32), (0x60, 32), (0x80, 16)))
    wrap, commitment = varve_crypto.wrapping_key(raw_key, slot_salt), varve_crypto.commitment(raw_key, slot_salt)
    yield "wrapping key", wrap
    yield "commitment", commitment

    area = bytearray(varve_crypto.AREA_SIZE)
    struct.pack_into("<8sIIQ", area, 0, b"\x89VKA\r\n\x1a\n", 1, 1, 1)
    at = 4096 + 3 * varve_crypto.SLOT_SIZE
    struct.pack_into("<I28x32s32s", area, at, varve_crypto.RAW, slot_salt, commitment)
    wrapped = varve_crypto.Wrapped(1, counting(0x90, 12), None, None)
    slot = varve_crypto.Slot(3, *[None] * 8, bytes(area[at:at + 96]))
    key, tag = varve_crypto.seal(varve_crypto.wrap_message(wrap, bytes(area), crypt_uuid, slot, wrapped), master)
    yield "wrapped master key", key
    yield "its tag", tag
    struct.pack_into("<I12s32s16s", area, at + 96, 1, wrapped.nonce, key, tag)
    yield "MAC", varve_crypto.area_mac(master, crypt_uuid, bytes(4096), bytes(area))

    def extent(pointer, generation):
        key = varve_crypto.derived(master, salt, b"varve data", crypt_uuid, generation, pointer.address // UNIT >> 22)
        message = varve_crypto.extent_message(key, crypt_uuid, pointer, UNIT, generation)
        return message, *varve_crypto.seal(message, bytes(pointer.length))

    message, sealed, tag = extent(Pointer(0x20 * UNIT, 4096, 3, DATA, 0, 0, 0, None), 3)
    yield "key of the cluster", message.key
    yield "nonce of the cluster", message.nonce
    yield "associated data of the cluster", message.associated
    yield "first bytes of the cluster", sealed[:16]
    yield "tag of the cluster", tag
    message, sealed, tag = extent(Pointer(0x400004 * UNIT, NODE, 3, NODE_KIND, 1, 0, 0, None), 9)
    yield "key of the node", message.key
    yield "tag of the node", tag


if __name__ == "__main__":
    for what, value in computed():
        print(f"{what}: {value.hex()}")
