"""Two installed systems compared: what one way of installing makes, the other makes too.

`FACTS` is run by root's shell on each (over SSH); `differences` compares what it printed. What must
differ between any two machines (host keys, ids, UUIDs) is compared for being there, and being
another; what is a machine's own by right (its name, its address) is told as `own`.
"""

import re
from collections.abc import Mapping

FACTS = r"""
export LC_ALL=C.UTF-8
say() { echo "== $1"; }
say partitions
lsblk -n -r -b -o TYPE,PARTTYPE,SIZE,FSTYPE,MOUNTPOINTS | sort
say fstab
grep -v '^#' /etc/fstab
say crypttab
grep -v '^#' /etc/crypttab
say identities
lsblk -n -r -o UUID | grep . | sort -u
cat /etc/machine-id
cut -d ' ' -f 2 /etc/ssh/ssh_host_*_key.pub
for key in /etc/dropbear/initramfs/dropbear_*_host_key; do
    dropbearkey -y -f "$key" | grep -E '^(ssh|ecdsa)-' | cut -d ' ' -f 2
done
say packages
dpkg-query -W -f '${Package} ${Version} ${db:Status-Abbrev}\n'
say manual
apt-mark showmanual
say network
grep -v '^#' /etc/network/interfaces
cat /etc/resolv.conf /etc/hosts /etc/hostname
ip -o address show scope global | sed 's/^[0-9]*: //; s/ *valid_lft.*//; s/\\//'
ip route show default
ip -6 route show default
say keys
cat /root/.ssh/authorized_keys /etc/dropbear/initramfs/authorized_keys
ls /etc/ssh/ssh_host_*_key.pub /etc/dropbear/initramfs/
for disk in $(blkid -t TYPE=crypto_LUKS -o device); do
    cryptsetup luksDump "$disk" | grep -E '^Version|^  [0-9]+: luks2|PBKDF:|cipher:|Cipher key:'
done
say initramfs
cat /etc/initramfs-tools/conf.d/* /etc/dropbear/initramfs/dropbear.conf
say loader
grep -E '^GRUB_CMDLINE' /etc/default/grub
find /boot -name '*.efi' | sort
say sources
cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null | grep -v '^#'
apt-config dump | grep -iE '^acquire::http::proxy' || true
say accounts
cut -d : -f 1,3,6,7 /etc/passwd
passwd -S root | cut -d ' ' -f 1,2
say settings
cat /etc/timezone /etc/default/locale /etc/adjtime
readlink /etc/localtime
systemctl list-unit-files --state=enabled --no-legend | cut -d ' ' -f 1 | sort
"""
UUID = re.compile(
    r"\b[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\b"
)
FAT_ID = re.compile(r"\b[0-9A-F]{4}-[0-9A-F]{4}\b")
ROUNDED = 64 * 2**20
"""Bytes: partman and sfdisk align otherwise, by some MiB."""
SECTION = re.compile(r"^== (\w+)$", re.MULTILINE)


def sections(printed: str) -> dict[str, list[str]]:
    """What `FACTS` printed: section → its lines, blanks in them made single."""
    parts = SECTION.split(printed)[1:]
    pairs = zip(parts[::2], parts[1::2], strict=True)
    return {
        name: [" ".join(line.split()) for line in text.splitlines() if line.strip()]
        for name, text in pairs
    }


def differences(
    one: str,
    other: str,
    own: tuple[Mapping[str, str], Mapping[str, str]] = ({}, {}),
    *,
    allowed: Mapping[str, str] | None = None,
) -> list[str]:
    """What is in one system and not in the other, a line each: "packages: only the first: vim 9".

    `own`: for each of the two, its words → what stands for them in both, such as the address.
    `allowed`: section → pattern of lines that only one of them may have.
    """
    first, second = (sections(printed) for printed in (one, other))
    found = [f"{name}: only one of them has it" for name in first.keys() ^ second.keys()]
    for name in [name for name in first if name in second]:
        mine, theirs = first[name], second[name]
        if name == "identities":
            same = sorted(set(mine) & set(theirs))
            found += [f"identities: both have {word[:24]}" for word in same]
            continue
        left = {_plain(line, own[0]) for line in mine}
        right = {_plain(line, own[1]) for line in theirs}
        may = re.compile((allowed or {}).get(name, r"(?!)"))
        for whose, lines in (("first", left - right), ("second", right - left)):
            told = sorted(line for line in lines if not may.fullmatch(line))
            found += [f"{name}: only the {whose}: {line}" for line in told]
    return found


def _plain(line: str, own: Mapping[str, str]) -> str:
    """Without what no two machines share."""
    for word, stands in own.items():
        line = re.sub(rf"(?<![\w.]){re.escape(word)}(?![\w])", stands, line)
    line = FAT_ID.sub("ID", UUID.sub("UUID", line))
    words = line.split()
    if words and words[0] in ("disk", "part", "raid1", "crypt", "lvm"):
        line = " ".join(_rounded(word) for word in words)
    return line


def _rounded(word: str) -> str:
    return str(round(int(word) / ROUNDED)) if word.isdigit() else word
