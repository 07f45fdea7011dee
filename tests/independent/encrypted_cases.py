"""Cases of reader_test.py that are about keys, and about what only encrypted images have."""
import pathlib
import subprocess
import time

import varve_crypto
import varve_reader
import varve_structures
import vectors
from bench import ENCRYPTED, ENCRYPTION, KIB, TOOL, Skipped, in_place_writes, same
from varve_crypto import AREA_SIZE, AREAS, Secret

PLAIN = f"cluster_size=4K,{ENCRYPTION}"
SMALL = f"cluster_size=4K,journal_size=0,kdf_cost=15,{ENCRYPTION}"


def opens(bench, secret):
    """Whether the reader opens the image by this secret."""
    try:
        varve_reader.Image(bench.image, secret)
        return True
    except varve_reader.Unsupported:
        return False


def read_alike(bench, states, what):
    """`states`: contents by the name of the snapshot; None is the disk."""
    for snapshot, contents in states.items():
        same(bench.by_reader(snapshot=snapshot), contents, f"{what}, {snapshot or 'the disk'}, by the reader")
        same(bench.by_library(None, snapshot), contents, f"{what}, {snapshot or 'the disk'}, by the library")


def with_a_history(bench, options):
    """An image with snapshots, a branch and attachments, and what it must show."""
    contents, states = bytearray(bench.mixture(700 * KIB)), {}
    bench.make(options + ",journal_size=256K", bytes(contents))
    for step in range(5):
        bench.write(contents, in_place_writes(bench, len(contents), 64 * KIB) + [("close",)])
        bench.done("snapshot", "create", "-f", "varve", bench.image, f"s{step}")
        states[f"s{step}"] = bytes(contents)
        if step == 3:
            bench.done("snapshot", "revert", "-f", "varve", bench.image, "s1")
            contents = bytearray(states["s1"])
    bench.done("attachment", "put", "-f", "varve", "-l", "s2", bench.image, "memory", bench.raw)
    bench.write(contents, in_place_writes(bench, len(contents), 64 * KIB))
    return {**states, None: bytes(contents)}


def the_page_has_the_test_vectors_that_this_reader_computes(_):
    if varve_crypto.AESGCM is None:
        raise Skipped("the Python module 'cryptography' is not there")
    page = pathlib.Path(__file__).parents[2].joinpath("docs/formats/varve.md").read_text(encoding="utf-8")
    listed = page[page.index("## 15. "):]
    for what, value in vectors.computed():
        assert value.hex() in listed, f"{what}: {value.hex()} is not on the page"


def passphrases_open_by_scrypt_and_by_pbkdf2(bench):
    contents = bench.mixture(100 * KIB)
    bench.with_passphrase("Grüße, 42".encode())
    for kdf in ("kdf=scrypt,kdf_cost=15", "kdf=pbkdf2,kdf_cost=600000"):
        bench.make(f"{PLAIN},{kdf}", contents)
        read_alike(bench, {None: contents}, kdf)
        assert not opens(bench, Secret(False, b"another")) and not opens(bench, Secret(True, bytes(32))) and not opens(bench, None), kdf
    result = bench.reader_program("dump", "--passphrase", bench.directory / "passphrase", bench.image, bench.out)
    assert result.returncode == 0 and bench.out.read_bytes() == contents, result.stderr
    result = bench.reader_program("info", bench.image)
    assert result.returncode == 1 and result.stderr.count("\n") == 1 and "encrypted" in result.stderr, result.stderr


def slots_that_were_added_changed_and_removed_open_what_they_should(bench):
    contents = bench.mixture(60 * KIB)
    bench.make(SMALL, contents)
    raw = bench.secret
    words, numbers, second = Secret(False, b"words"), Secret(False, b"numbers"), Secret(True, bytes(range(32)))
    steps = [("add", words, "--kdf-cost", 15), ("add", second, "--out-key-format", "raw"), ("change 1", numbers, "--kdf", "pbkdf2"),
             ("remove 2", None), ("change 1", words, "--kdf-cost", 16)]
    expected = [{raw, words}, {raw, words, second}, {raw, numbers, second}, {raw, numbers}, {raw, words}]
    for (step, secret, *options), right in zip(steps, expected):
        action, *slot = step.split()
        new = ["--out-key-file", bench.secret_file("new", secret.value)] if secret else []
        bench.done("key", action, "-f", "varve", *new, *options, bench.image, *slot)
        assert {one for one in (raw, words, numbers, second) if opens(bench, one)} == right, f"after {step}"
        read_alike(bench, {None: contents}, step)


def another_master_key_leaves_all_that_is_shown(bench):
    for options in ENCRYPTED[:2]:
        states = with_a_history(bench, options)
        read_alike(bench, states, options)
        for epoch in (2, 3):
            bench.done("key", "rotate", "-f", "varve", bench.image)
            image = bench.open()
            assert list(image.cipher.masters) == [epoch] == sorted({session.epoch for session in image.cipher.sessions}), options
            read_alike(bench, states, f"{options}, epoch {epoch}")
            contents = bytearray(states[None])
            bench.write(contents, in_place_writes(bench, len(contents), 64 * KIB))
            states[None] = bytes(contents)
            read_alike(bench, states, f"{options}, epoch {epoch}, written to")


def a_change_of_the_master_key_that_was_killed_leaves_all_that_is_shown(bench):
    states = with_a_history(bench, PLAIN)
    whole = bench.image.read_bytes()
    command = [TOOL, "key", "rotate", "-f", "varve", *map(str, bench.opening), str(bench.image)]
    begin = time.monotonic()
    subprocess.run(command, check=True)
    taken, epochs = time.monotonic() - begin, set()
    for part in range(8):
        bench.image.write_bytes(whole)
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as program:
            time.sleep(taken * (0.2 + part / 8))
            program.kill()
        epochs.add(tuple(bench.open().cipher.masters))
        read_alike(bench, states, f"killed when {part} parts of 8 were done")
        bench.done("key", "rotate", "-f", "varve", bench.image)
        read_alike(bench, states, "gone on with")
    assert epochs <= {(1,), (1, 2), (2,)}, epochs


def what_a_repair_wrote_reads_alike(bench):
    """Repairs keep births, so that the table of sessions has rewrites."""
    rewrites = 0
    for number, options in enumerate(ENCRYPTED[:2] * 3):
        names = list(with_a_history(bench, options))
        bench.write(bytearray(), [("close",)])
        data = bytearray(bench.image.read_bytes())
        for _ in range(3):
            data[bench.random.randrange(varve_structures.FIRST_EXTENT, len(data))] ^= 1
        bench.image.write_bytes(data)
        result = bench.tool("check", "-f", "varve", "--data", "--repair=all", bench.image)
        if "not repaired" in result.stdout + result.stderr or bench.by_library() is None:
            continue  # the table of sessions was hit
        rewrites += len(bench.open().cipher.rewrites)
        for name in names:
            got, expected = bench.by_reader(snapshot=name), bench.by_library(None, name)
            assert got is None or expected is not None, f"{number}, {name}: only the reader shows it"
            same(got, expected, f"{options}, repair {number}, {name or 'the disk'}")
    assert rewrites > 0, "no repair rewrote anything"


def of_two_key_areas_the_right_one_counts(bench):
    contents = bench.mixture(60 * KIB)
    bench.make(SMALL, contents)
    older = bench.image.read_bytes()
    bench.done("key", "add", "-f", "varve", "--out-key-file", bench.secret_file("new", b"words"), "--kdf-cost", 15, bench.image)
    whole = bench.image.read_bytes()
    assert whole[AREAS[0]:AREAS[0] + AREA_SIZE] == whole[AREAS[1]:AREAS[1] + AREA_SIZE]

    def put(copy, area):
        data = bytearray(bench.image.read_bytes())
        data[AREAS[copy]:AREAS[copy] + AREA_SIZE] = area
        bench.image.write_bytes(data)

    for copy in (0, 1):
        bench.image.write_bytes(whole)
        put(copy, older[AREAS[0]:AREAS[0] + AREA_SIZE])  # an older sequence
        assert opens(bench, Secret(False, b"words")), "the older key area was taken"
        put(copy, bytes(AREA_SIZE))
        assert opens(bench, Secret(False, b"words")), "the only key area was not taken"
        same(bench.by_library(), contents, "by the library")
        area = bytearray(whole[AREAS[0]:AREAS[0] + AREA_SIZE])
        area[40] ^= 1  # in the MAC
        area[4080:4096] = varve_crypto.area_tag(bytes(area))
        put(copy, area)
        assert bench.by_reader() is None and bench.by_library() is None, "two key areas of one sequence differ"
        put(1 - copy, area)
        assert bench.by_reader() is None and bench.by_library() is None, "the MAC is wrong"


def one_superblock_is_taken_on_the_user_s_word_alone(bench):
    contents = bytearray(bench.mixture(100 * KIB))
    bench.make(f"cluster_size=4K,journal_size=64K,{ENCRYPTION}", bytes(contents))
    bench.write(contents, in_place_writes(bench, len(contents), 4096))
    whole, generation = bench.image.read_bytes(), bench.open().superblock.generation
    for parity in (0, 1):
        for offset in (0, 32, 44, 48, 100, 4000, 4090):
            data = bytearray(whole)
            data[(4096, 69632)[parity] + offset] ^= 1
            bench.image.write_bytes(data)
            assert bench.by_reader() is None and bench.by_library() is None, f"parity {parity}, offset {offset}: no word was asked for"
            got, expected = bench.by_reader(accept_older_state=True), bench.by_library(None, None, "--accept-older-state")
            same(got, expected, f"parity {parity}, offset {offset}")
            if parity != generation % 2:
                same(got, bytes(contents), f"parity {parity}, offset {offset}")


CASES = [the_page_has_the_test_vectors_that_this_reader_computes, passphrases_open_by_scrypt_and_by_pbkdf2,
         slots_that_were_added_changed_and_removed_open_what_they_should,
         another_master_key_leaves_all_that_is_shown, a_change_of_the_master_key_that_was_killed_leaves_all_that_is_shown,
         what_a_repair_wrote_reads_alike, of_two_key_areas_the_right_one_counts, one_superblock_is_taken_on_the_user_s_word_alone]
