#!/usr/bin/env python3
"""The reader written from the specification against the library: reader_test.py IMAGE_WRITER CONFORMANCE_IMAGES SCRATCH_DIR [CASE..].

Both must show the same bytes of every image; of a damaged one both may refuse, and neither may show wrong bytes. VARVE_TEST_CLI is the
tool, VARVE_TEST_SEED the seed. The last line counts the cases, as every test program's does.
"""
import contextlib
import io
import json
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
import encrypted_cases
import mutator
import varve_reader
import xxh3
from bench import CONFIGURATIONS, DIVISOR, ENCRYPTED, ENCRYPTION, KIB, MIB, SEED, Bench, Skipped, in_place_writes, same


def the_tags_own_implementation_agrees_with_xxhsum(bench):
    xxh3.self_test()
    assert xxh3.tag_in_python(b"abc").hex() == "06b05ab6733a618578af5f94892f3950"  # the specification's own
    if not shutil.which("xxhsum"):
        raise Skipped("xxhsum is not there")
    path = bench.directory / "hashed"
    for length in list(range(0, 260)) + [511, 1023, 1024, 1025, 1088, 4080, 5000, 16384]:
        path.write_bytes(data := bench.noise(length))
        expected = subprocess.run(["xxhsum", "-H2", path], stdout=subprocess.PIPE, text=True, check=True).stdout.split()[0]
        assert xxh3.tag_in_python(data).hex() == expected, f"{length} bytes"
        assert xxh3.tag(data).hex() == expected, f"{length} bytes, by the library"


def every_configuration_reads_as_the_library_reads_it(bench):
    for options in CONFIGURATIONS + ENCRYPTED:
        for size in (0, 512, 4096, 65536, 1000003, 5 * MIB + 1536):
            contents = bench.mixture(size)
            bench.make(options, contents)
            same(bench.by_library(), contents, f"{options}, {size} bytes, by the library")
            same(bench.by_reader(), contents, f"{options}, {size} bytes, by the reader")


def tall_trees_of_sparse_disks_read_alike(bench):
    for options, size in (("cluster_size=4K", 9 * 2**30), ("cluster_size=64K,compression=zstd", 2**40), (ENCRYPTED[0], 9 * 2**30)):
        bench.image.unlink(missing_ok=True)
        bench.done("create", "-f", "varve", "-o", options, *(bench.new if ENCRYPTION in options else []), bench.image, size)
        places = [0, 2 * MIB - 512, size // 2 + 12345, size - 512]
        commands = [("write", place, bench.text(512)) for place in places]
        data = b"".join(written for _, _, written in commands)
        (bench.directory / "data").write_bytes(data)
        lines = [f"write {place} 512 {512 * i}" for i, place in enumerate(places)]
        subprocess.run([bench.writer, bench.image, bench.directory / "data"], input="\n".join(lines + ["close"]), text=True, check=True)
        image = bench.open()
        seen = {offset: bytes(piece) for offset, _, piece in image.walk(image.head, image.superblock.generation) if piece and any(piece)}
        cluster = image.header.cluster_size
        for place, (_, _, written) in zip(places, commands):
            piece = seen[place // cluster * cluster] + seen.get((place // cluster + 1) * cluster, b"")
            same(piece[place % cluster:place % cluster + 512], written, f"{options} at {place}")


def what_was_flushed_and_never_closed_reads_alike(bench):
    for options in CONFIGURATIONS + ENCRYPTED:
        contents = bytearray(bench.mixture(5 * MIB + 512))
        bench.make(options + ",journal_size=1M", bytes(contents))
        cluster = bench.open().header.cluster_size
        bench.write(contents, in_place_writes(bench, len(contents), min(cluster, MIB)))
        image = bench.open()
        assert image.journal()[0] > 0, f"{options}: no record is in the journal"
        same(bench.by_reader(), bytes(contents), f"{options}, by the reader")
        same(bench.by_library(), bytes(contents), f"{options}, by the library")
        bench.write(contents, [("write", 100, b"once more"), ("resize", 6 * MIB + 3), ("close",)])
        same(bench.by_reader(), bytes(contents), f"{options}, closed, by the reader")
        same(bench.by_library(), bytes(contents), f"{options}, closed, by the library")


def info_tells_sizes_generation_and_parents(bench):
    bench.make("cluster_size=4K", bench.text(20000))
    child = bench.directory / "child.varve"
    bench.done("create", "--force", "-f", "varve", "-b", bench.image, "-F", "varve", child)
    with contextlib.redirect_stdout(io.StringIO()) as text:
        varve_reader.info(bench.open(child))
    told = json.loads(text.getvalue())
    by_library = json.loads(bench.tool("info", "--json", child).stdout)
    assert told["size"] == 20000 and told["clean"] and told["snapshots"] == [], told
    assert [parent["format"] for parent in told["parents"]] == ["varve"], told
    assert told["generation"] == bench.open(child).superblock.generation and str(told["uuid"]) in json.dumps(by_library), by_library
    result = bench.reader_program("dump", child, bench.out)
    assert result.returncode == 1 and result.stderr.count("\n") == 1 and "parent" in result.stderr, result.stderr


def attachments_and_a_parent_s_snapshot_are_named_as_the_specification_says(bench):
    for options in ("cluster_size=4K,compression=zstd", ENCRYPTED[1]):
        attach_and_make_a_child(bench, options)


def attach_and_make_a_child(bench, options):
    contents = bench.mixture(100 * KIB)
    bench.make(options, contents)
    bench.done("snapshot", "create", "-f", "varve", bench.image, "gold")
    bench.done("attachment", "put", "-f", "varve", "-l", "gold", bench.image, "memory", bench.raw)
    bench.done("attachment", "put", "-f", "varve", bench.image, "note", __file__)
    child = bench.directory / "child.varve"
    bench.done("create", "--force", "-b", f"{bench.image}@gold", "-F", "varve", child)
    parent = bench.open()
    gold = next(iter(parent.snapshots.values()))
    assert gold.held and sorted(parent.attachments.values()) == [(0, "note"), (gold.id, "memory")], parent.attachments
    told = [reference.identity for reference in bench.open(child).parents.values()]
    root = "" if ENCRYPTION in options else f" root {gold.object.root.tag.hex()}"
    assert told == [f"snapshot {gold.uuid}{root}"], told
    same(bench.by_reader(snapshot="gold"), bytes(contents), "the snapshot, by the reader")


def the_program_dumps_without_any_library_and_says_in_a_line_what_is_wrong(bench):
    contents = bench.mixture(100 * KIB)
    bench.make("cluster_size=16K,compression=zlib", contents)
    result = bench.reader_program("dump", bench.image, bench.out, VARVE_READER_PURE="1")
    assert result.returncode == 0 and result.stderr == "", result.stderr
    same(bench.out.read_bytes(), contents, "by the program")
    result = bench.reader_program("dump", "--snapshot", "none", bench.image, bench.out)
    assert result.returncode == 1 and result.stderr.count("\n") == 1 and "no snapshot" in result.stderr, result.stderr
    bench.image.write_bytes(bench.image.read_bytes()[:150000])
    result = bench.reader_program("info", bench.image)
    assert result.returncode == 1 and result.stderr.count("\n") == 1 and "cut short" in result.stderr, result.stderr


def snapshots_read_alike(bench):
    for options in ("cluster_size=4K", "cluster_size=16K,compression=zlib", "cluster_size=64K,journal_size=0", *ENCRYPTED[:2]):
        contents, kept = bytearray(bench.mixture(500 * KIB)), {}
        bench.make(options, bytes(contents))
        for step in range(9):
            bench.write(contents, in_place_writes(bench, len(contents), 64 * KIB) + [("close",)])
            bench.done("snapshot", "create", "-f", "varve", bench.image, f"s{step}")
            kept[f"s{step}"] = bytes(contents)
            if step % 3 == 2:  # a branch, and a branch point
                bench.done("snapshot", "revert", "-f", "varve", bench.image, f"s{step - 1}")
                contents = bytearray(kept[f"s{step - 1}"])
                bench.done("snapshot", "delete", "-f", "varve", bench.image, f"s{step - 1}")
                del kept[f"s{step - 1}"]
            for name, state in kept.items():
                same(bench.by_reader(snapshot=name), state, f"{options}, snapshot {name} at step {step}")
            same(bench.by_reader(), bytes(contents), f"{options}, the disk at step {step}")


def every_configuration_of_the_conformance_suite_reads_alike_with_all_its_snapshots(bench):
    listed = subprocess.run([bench.conformance_images, bench.directory], stdout=subprocess.PIPE, text=True, check=True).stdout
    states = encrypted = over_parents = 0
    for line in listed.splitlines():
        number, child, name, *snapshots = line.split("\t")
        image = bench.directory / f"{number}.varve"
        parent_disk = (bench.directory / f"{number}.parent.raw").read_bytes() if child == "child" else None
        assert snapshots == sorted(snapshot.name for snapshot in bench.open(image).snapshots.values() if not snapshot.hidden), name
        for snapshot in [None, *snapshots]:
            expected = (bench.directory / f"{number}.{snapshot or 'head'}.raw").read_bytes()
            same(bench.by_reader(image, snapshot, parent_disk=parent_disk), expected, f"{name}, {snapshot or 'the disk'}")
            states += 1
            encrypted += "encrypted" in name
            over_parents += child == "child"
    assert states >= 140 and encrypted >= 25 and over_parents >= 30, f"{states} states, {encrypted} encrypted, {over_parents} over parents"


def a_changed_byte_of_a_closed_image_never_gives_wrong_bytes(bench):
    for options in ("cluster_size=4K", "cluster_size=64K,compression=zstd", "cluster_size=64K,compression=zlib", *ENCRYPTED[:2]):
        contents = bench.mixture(400 * KIB)
        bench.make(options, contents)
        whole = bench.image.read_bytes()
        # Half of them where the structures are.
        places = [bench.random.randrange(len(whole)) for _ in range(50)]
        places += [start + bench.random.randrange(8192) for start in (0, 65536, len(whole) - 32768) for _ in range(50 // 3)]
        for place in places[::DIVISOR]:
            changed = bytearray(whole)
            changed[place] ^= 1 << bench.random.randrange(8)
            bench.image.write_bytes(changed)
            for name, got in (("reader", bench.by_reader()), ("library", bench.by_library())):
                if got is not None:
                    same(got, contents, f"{options}, byte {place} changed, by the {name}")


def a_changed_byte_of_an_open_image_gives_a_flushed_state_or_none(bench):
    for options in ("cluster_size=4K,compression=zlib,journal_size=256K", f"cluster_size=4K,journal_size=256K,{ENCRYPTION}"):
        change_bytes_of_an_open_image(bench, options)


def change_bytes_of_an_open_image(bench, options):
    contents = bytearray(bench.mixture(300 * KIB))
    bench.make(options, bytes(contents))
    states = bench.write(contents, in_place_writes(bench, len(contents), 4096))
    whole, superblock = bench.image.read_bytes(), bench.open().superblock
    journal = range(superblock.journal, superblock.journal + superblock.journal_size)
    used = [at for at in journal if whole[at]]
    places = [bench.random.choice(used) for _ in range(60)] + [at + bench.random.randrange(300) for at in (4096, 69632) for _ in range(20)]
    for place in places[::DIVISOR]:
        changed = bytearray(whole)
        changed[place] ^= 1 << bench.random.randrange(8)
        bench.image.write_bytes(changed)
        reader, library = bench.by_reader(), bench.by_library()
        assert reader is None or reader in states, f"{options}, byte {place} changed: the reader shows what was never flushed"
        same(library, reader, f"{options}, byte {place} changed, the library against the reader")


def sealed_changes_are_judged_alike(bench):
    """Any bit, under tags that are right: what is refused, and what is shown, does not depend on who reads."""
    # The journal covers no cluster of these sizes wholly: the library would not look at one.
    of_16k = [f"cluster_size=16K,compression={codec}" for codec in ("none", "zstd", "zlib")]
    for options in [*of_16k, f"{of_16k[0]},{ENCRYPTION}", f"{of_16k[1]},{ENCRYPTION}"]:
        contents = bytearray(bench.mixture(200 * KIB + 512))
        bench.make(options + ",journal_size=64K", bytes(contents))
        bench.write(contents, [("write", 5000, bench.text(3000)), ("flush",), ("write", 70000, bench.text(512)), ("flush",),
                               ("write", 150, bench.noise(100)), ("flush",)])
        whole, image = bench.image.read_bytes(), bench.open()
        image.journal()
        refused = 0
        for number in range(150 // DIVISOR):
            changed, what = mutator.change(whole, random.Random(f"{SEED} {options} {number}"), image)
            bench.image.write_bytes(changed)
            reader, library = bench.by_reader(), bench.by_library()
            refused += reader is None
            same(library, reader, f"{options}, change {number} ({what}), the library against the reader")
        assert 0 < refused, "no change was refused"


CASES = [the_tags_own_implementation_agrees_with_xxhsum, every_configuration_reads_as_the_library_reads_it,
         tall_trees_of_sparse_disks_read_alike, what_was_flushed_and_never_closed_reads_alike, info_tells_sizes_generation_and_parents,
         attachments_and_a_parent_s_snapshot_are_named_as_the_specification_says,
         the_program_dumps_without_any_library_and_says_in_a_line_what_is_wrong, snapshots_read_alike,
         every_configuration_of_the_conformance_suite_reads_alike_with_all_its_snapshots, a_changed_byte_of_a_closed_image_never_gives_wrong_bytes,
         a_changed_byte_of_an_open_image_gives_a_flushed_state_or_none, sealed_changes_are_judged_alike, *encrypted_cases.CASES]


def main():
    failed = skipped = 0
    cases = [case for case in CASES if len(sys.argv) < 5 or case.__name__ in sys.argv[4:]]
    for case in cases:
        with tempfile.TemporaryDirectory(dir=sys.argv[3]) as directory:
            try:
                case(Bench(directory, *sys.argv[1:3]))
            except Skipped as reason:
                skipped += 1
                print(f"SKIPPED {case.__name__}: {reason}")
            except AssertionError as error:
                failed += 1
                print(f"FAILED {case.__name__} (VARVE_TEST_SEED={SEED}): {error}")
    print(f"{len(cases) - failed - skipped} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
