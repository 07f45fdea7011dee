#!/usr/bin/env bash
# demo.sh VARVE: the main job on a disk that is made here. Everything that it prints is what really happened.
set -euo pipefail
export PATH
PATH=$(dirname "$1"):$PATH
here=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

say() { printf '\n# %s\n' "$*"; }
run() {
  printf '$ %s\n' "$*"
  "$@"
}

if command -v mkfs.ext4 >/dev/null; then
  say "A disk of 256 MiB: an ext4 file system that holds this project's sources."
  run truncate -s 256M disk.raw
  mkfs.ext4 -q -F -d "$here/lib" disk.raw
else
  say "A disk of 256 MiB with a pattern in some places and holes in between."
  run truncate -s 256M disk.raw
  for mib in 0 1 17 100 255; do
    seq -f "block $mib line %.0f" 30000 | dd of=disk.raw bs=1M seek="$mib" count=1 iflag=fullblock conv=notrunc status=none
  done
fi

say "To the shape that VMware Workstation runs, and a look at it."
run varve convert disk.raw workstation.vmdk
run varve info workstation.vmdk
run varve check workstation.vmdk
echo '$ varve map workstation.vmdk | head -n 8'
varve map workstation.vmdk >map.txt
head -n 8 map.txt

say "To the compressed shape that VMware's importers take."
run varve convert -o preset=ova workstation.vmdk import.vmdk
run varve check --data import.vmdk

say "Back to a raw disk. Nothing may have changed."
run varve convert import.vmdk back.raw
run varve compare disk.raw back.raw
run sha256sum disk.raw back.raw
run du -h --apparent-size disk.raw workstation.vmdk import.vmdk
[ "$(sha256sum <disk.raw)" = "$(sha256sum <back.raw)" ] || { echo "The contents differ." >&2; exit 1; }

printf '\nShown: raw -> monolithicSparse VMDK -> streamOptimized VMDK -> raw, checked on the way, every byte the same.\n'
