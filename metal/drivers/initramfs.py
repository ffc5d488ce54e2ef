"""Read a server's built initramfs, on the server, by Debian's own unmkinitramfs.

Of the host keys only the public halves leave the server; nothing is changed there.
"""

import io
import tarfile
from collections.abc import Sequence

from metal.drivers.commands import Runner
from metal.model.errors import Failed
from metal.model.rehearsal import SeenBoot

SLOW = 300.0
"""Seconds: an image of 100 MB is unpacked on an old, busy machine."""
_READ = r"""
umask 077
folder=$(mktemp -d -p /var/tmp metal.XXXXXX) || exit 1
trap 'rm -rf "$folder"' EXIT
image=$1
# proxmox-boot-tool's own files; a pin for the next boot only goes first.
for pin in "/etc/kernel/next-boot-pin" "/etc/kernel/proxmox-boot-pin"; do
    [ -z "$image" ] && [ -s "$pin" ] && image=/boot/initrd.img-$(head -n 1 "$pin")
done
if [ -n "$image" ] && [ ! -e "$image" ]; then
    echo "the kernel that is pinned has no $image" >&2
    exit 1
fi
[ -n "$image" ] || image=$(ls -v /boot/initrd.img-*[0-9a-z] | grep -v '\.bak$' | tail -n 1)
unmkinitramfs "$image" "$folder/all" >/dev/null || exit 1
root=$folder/all
if [ -d "$root/main" ]; then
    # What stands before it is unpacked first: what both have is the later's.
    for part in "$root"/early*; do [ ! -d "$part" ] || cp -an "$part/." "$root/main/"; done
    root=$root/main
fi
mkdir "$folder/told"
cd "$root" || exit 1
told=$folder/told
echo "$image" >"$told/image"
find . -mindepth 1 | cut -c3- >"$told/files"
cat conf/initramfs.conf conf/conf.d/* >"$told/conf" 2>/dev/null
cat scripts/init-premount/metal >"$told/premount" 2>/dev/null
cat etc/dropbear/dropbear.conf >"$told/dropbear" 2>/dev/null
cat root*/.ssh/authorized_keys >"$told/authorized" 2>/dev/null
for key in etc/dropbear/dropbear_*_host_key; do
    dropbearkey -y -f "$key" 2>/dev/null | grep -E '^(ssh|ecdsa)-'
done >"$told/host_keys"
cat cryptroot/crypttab >"$told/crypttab" 2>/dev/null
cat /etc/crypttab >"$told/system_crypttab" 2>/dev/null
cat etc/mdadm/mdadm.conf >"$told/mdadm" 2>/dev/null
lsblk -n -s -p -r -o NAME,TYPE "$(findmnt -n -o SOURCE /)" | sort -u | while read -r array type; do
    case $type in raid*) mdadm --detail --export "$array" | sed -n 's/^MD_UUID=//p';; esac
done >"$told/arrays" 2>/dev/null
find . -name modules.builtin -exec cat {} + >"$told/builtin"
# The card that has $1 for its address or for its name; in a bond it may show another's address.
card_of() {
    for card in /sys/class/net/*; do
        [ -e "$card/device" ] || continue
        mac=$(cat "$card/bonding_slave/perm_hwaddr" 2>/dev/null) || mac=$(cat "$card/address")
        if [ "$mac" = "$1" ] || [ "${card##*/}" = "$1" ]; then echo "$card"; return; fi
    done
}
for wanted in $2; do
    card=$(card_of "$wanted")
    [ -n "$card" ] || { echo "$wanted" >>"$told/absent"; continue; }
    basename "$(readlink -f "$card/device/driver/module")" >>"$told/drivers"
    [ "$(cat "$card/carrier" 2>/dev/null)" != 1 ] || echo "$wanted" >>"$told/linked"
done
card=$(ip -o address show to "$3" | sed -n '1s/^[0-9]*: *\([^ ]*\).*/\1/p')
ip -d -o link show dev "${card:-none}" 2>/dev/null |
    sed -n 's/.* vlan protocol [^ ]* id \([0-9]*\).*/\1/p' >"$told/vlan"
tar -C "$told" -cf - .
"""
_PARTS = tuple(SeenBoot.model_fields)


def read_boot(runner: Runner, cards: Sequence[str], address: str, image: str = "") -> SeenBoot:
    """The initramfs that boots next (of the kernel that proxmox-boot-tool pinned, else the newest,
    as GRUB orders them), or `image`.

    `cards`: their MAC addresses or names, through which it is to be reached; `address`: at which.
    """
    done = runner.run(("sh", "-c", _READ, "sh", image, " ".join(cards), address), timeout=SLOW)
    if done.code:
        raise Failed(
            f"its initramfs cannot be read: {done.said}",
            where=runner.where,
            mend="is there an image in /boot, initramfs-tools-core, and room in /var/tmp?",
        )
    texts = _texts(done.out)
    return SeenBoot(
        image=texts["image"].strip(),
        files=frozenset(texts["files"].splitlines()),
        conf=texts["conf"],
        premount=texts["premount"],
        dropbear=texts["dropbear"],
        authorized=_keys(texts["authorized"]),
        host_keys=_keys(texts["host_keys"]),
        crypttab=texts["crypttab"],
        system_crypttab=texts["system_crypttab"],
        drivers=tuple(dict.fromkeys(texts["drivers"].split())),
        linked=tuple(texts["linked"].split()),
        absent=tuple(texts["absent"].split()),
        arrays=tuple(texts["arrays"].split()),
        mdadm=texts["mdadm"],
        builtin=texts["builtin"],
        vlan=texts["vlan"].strip(),
    )


def _texts(tar: bytes) -> dict[str, str]:
    texts = dict.fromkeys(_PARTS, "")
    with tarfile.open(fileobj=io.BytesIO(tar)) as opened:
        for member in opened:
            name, file = member.name.removeprefix("./"), opened.extractfile(member)
            if name in texts and file is not None:
                texts[name] = file.read().decode(errors="replace")
    return texts


def _keys(text: str) -> tuple[str, ...]:
    """The keys alone: options before them and comments behind go."""
    found = []
    for line in text.splitlines():
        words = line.split()
        for n, word in enumerate(words[:-1]):
            if word.startswith(("ssh-", "ecdsa-", "sk-")) and not line.startswith("#"):
                found.append(f"{word} {words[n + 1]}")
                break
    return tuple(found)
