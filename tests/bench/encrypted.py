"""Encrypted images of the varve format against qcow2 with LUKS. A part of bench.py."""
from timing import Result, measure, run
from native import verdict

KEY = ["--key-format=raw", "--key-file", "key"]
OUT_KEY = ["--out-key-format=raw", "--out-key-file", "key"]
LUKS = ["--object", "secret,id=key,file=passphrase"]


def tried(command, folder, target):
    """qemu-img measures its key derivation, and sometimes can't in the 10 ms that it is given."""
    for left in range(9, -1, -1):
        (folder / target).unlink(missing_ok=True)
        try:
            return measure(command, folder)
        except SystemExit:
            if command[0] != "qemu-img" or left == 0:
                raise


def best_of(folder, runs, contenders):
    """{name: (target, command)}: the runs take turns, and what was there before is away."""
    results = {name: Result() for name in contenders}
    for _ in range(runs):
        for name, (target, command) in contenders.items():
            results[name].add(*tried(command, folder, target), 0)
    return {name: result.seconds for name, result in results.items()}


def to_varve(varve, options, target, *key):
    return target, [varve, "convert", "-q", "--sync=none", "-f", "raw", *key, "-o", options, "disk.raw", target]


def row(name, ours, theirs, limit):
    print(f"{name:48} {ours:7.3f}s {theirs:8.3f}s {verdict(ours / theirs, limit)}", flush=True)


def print_encrypted(varve, folder, runs):
    (folder / "key").write_bytes(bytes(range(32)))
    (folder / "passphrase").write_bytes(b"correct horse battery staple")
    for name in ("key", "passphrase"):
        (folder / name).chmod(0o600)
    encrypted = "encryption=aes-256-gcm"
    print(f"\n{'unsynced; a raw key, so no key derivation':48} {'varve':>8} {'other':>9} {'ratio':>6}  target")
    seconds = best_of(folder, runs, {
        "encrypted": to_varve(varve, encrypted, "out.varve", *OUT_KEY),
        "plain": to_varve(varve, "compression=none", "plain.varve"),
        "luks": ("out.qcow2", ["qemu-img", "convert", "-m", "16", "-W", *LUKS, "-f", "raw", "-O", "qcow2", "-o",
                               "encrypt.format=luks,encrypt.key-secret=key,encrypt.iter-time=10", "disk.raw", "out.qcow2"])})
    run([varve, "compare", "-q", *KEY, "disk.raw", "out.varve"], folder)
    row("raw to encrypted varve, against qcow2 with LUKS", seconds["encrypted"], seconds["luks"], 0.20)
    row("the same, against plain varve", seconds["encrypted"], seconds["plain"], 1.60)
    back = best_of(folder, runs, {
        "varve": ("out.raw", [varve, "convert", "-q", "--sync=none", *KEY, "out.varve", "out.raw"]),
        "luks": ("peer.raw", ["qemu-img", "convert", "-m", "16", "-W", *LUKS, "--image-opts",
                              "driver=qcow2,file.filename=out.qcow2,encrypt.key-secret=key", "-O", "raw", "peer.raw"])})
    row("back to raw, against qcow2 with LUKS", back["varve"], back["luks"], 0.25)
    zstd = best_of(folder, runs, {
        "encrypted": to_varve(varve, f"compression=zstd:3,{encrypted}", "out.varve", *OUT_KEY),
        "plain": to_varve(varve, "compression=zstd:3", "plain.varve")})
    row("raw to varve, zstd:3 and encrypted, against zstd:3", zstd["encrypted"], zstd["plain"], 1.15)
    for name in ("out.raw", "peer.raw", "out.qcow2", "plain.varve", "out.varve"):
        (folder / name).unlink(missing_ok=True)
    print_key_derivation(varve, folder, runs)


def print_key_derivation(varve, folder, runs):
    print(f"\n{'key derivation: opening, less that of a raw key':48} {'seconds':>8}")
    passphrase = ["--key-file", "passphrase"]

    def opening(*key):
        return min(measure([varve, "info", *key, "out.varve"], folder)[0] for _ in range(runs))

    def create(options, *key):
        run([varve, "create", "--force", *key, "-o", f"encryption=aes-256-gcm{options}", "out.varve", "1G"], folder)

    create("", *OUT_KEY)
    raw = opening(*KEY)
    for name, options in (("scrypt, N=2^17 r=8 p=1", ""), ("PBKDF2, 1000000 iterations", ",kdf=pbkdf2")):
        create(options, "--out-key-file", "passphrase")
        print(f"{name:48} {opening(*passphrase) - raw:8.3f}", flush=True)
    (folder / "out.varve").unlink()
