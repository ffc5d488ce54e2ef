"""A recipe of partman (preseed/recipes/NAME), read for whoever partitions without the installer.

The recipe's text is the one truth: the installer runs it, the image method reads it here. Format:
the installer's own partman-auto-recipe.txt. Only what metal's recipes use is known; a recipe that
asks for more is BadInput, never half done. Pure.
"""

import re
from typing import Literal, get_args

from metal.model.base import Frozen
from metal.model.errors import BadInput

Method = Literal["biosgrub", "efi", "format", "swap"]
METHODS = get_args(Method)
QUESTION = re.compile(r"^d-i\s+(\S+)\s+\S+\s*(.*)$")
SPECIFIER = re.compile(r"(\$?)([a-z_]+)\{\s*([^}]*?)\s*\}")
ARRAY = re.compile(r"1 2 0 (\S+) (\S+) @([1-9])")
"""Of partman-auto-raid/recipe: RAID 1 of the partitions of that number on both disks."""
FILESYSTEMS = {"biosgrub": "", "efi": "vfat", "swap": "swap"}
"""Of the methods that need no filesystem{ } to say it."""
KNOWN = {
    "$iflabel",
    "$lvmignore",
    "$defaultignore",
    "$reusemethod",
    "$primary",
    "$bootable",
    "$lvmok",
    "method",
    "format",
}
KNOWN |= {"use_filesystem", "filesystem", "mountpoint", "lv_name"}


class Part(Frozen):
    """A partition, or a logical volume where `volume` names it. Sizes in MB (10^6 bytes)."""

    minimum: int
    priority: int
    """Above `minimum`: its share of what is left over."""
    maximum: int
    """-1: no limit."""
    method: Method
    filesystem: str
    """ext4, vfat, swap; "" for BIOS boot code."""
    mount: str = ""
    volume: str = ""


class Recipe(Frozen):
    """How the system disk is divided: GPT, encrypted LVM on the last partition."""

    group: str
    """The volume group's name."""
    outside: tuple[Part, ...]
    """Partitions in clear, in their order; the encrypted one follows them."""
    volumes: tuple[Part, ...]
    mirrored: bool = False
    """On two disks: what is formatted in clear, and what is encrypted, is md RAID 1."""


def read_recipe(text: str, name: str) -> Recipe:
    """The recipe in `text`; BadInput, naming recipe `name`, where it asks for something else."""
    told = _questions(text)
    method = told.get("partman-auto/method")
    if method not in ("crypto", "raid"):
        raise _unknown(name, "only recipes of the methods crypto and raid are known")
    if told.get("partman-auto-lvm/guided_size", "max") != "max":
        raise _unknown(name, "a guided_size other than max is not known")
    group = told.get("partman-auto-lvm/new_vg_name", "")
    _, found, scheme = told.get("partman-auto/expert_recipe", "").partition("::")
    if not group or not found:
        raise _unknown(name, "it names no volume group, or has no expert_recipe")
    rows = [words for words in _rows(scheme) if words]
    if mirrored := method == "raid":
        rows = _unmirrored(rows, told.get("partman-auto-raid/recipe", ""), name)
    parts = [_part(words, name) for words in rows]
    outside = tuple(part for part in parts if not part.volume)
    volumes = tuple(part for part in parts if part.volume)
    if not any(part.mount == "/" for part in volumes):
        raise _unknown(name, "its / is not on the encrypted volume group")
    if not any(part.mount == "/boot" for part in outside):
        raise _unknown(name, "its /boot is no partition in clear")
    return Recipe(group=group, outside=outside, volumes=volumes, mirrored=mirrored)


def _rows(scheme: str) -> list[str]:
    """What stands between single full stops."""
    return [words.strip() for words in re.split(r"(?:^|\s)\.(?:\s|$)", scheme)]


def _unmirrored(rows: list[str], arrays: str, name: str) -> list[str]:
    """The same rows as of one disk: each partition of an array as what the array becomes."""
    found = {int(m[3]): (m[1], m[2]) for row in _rows(arrays) if (m := ARRAY.fullmatch(row))}
    if len(found) != len([row for row in _rows(arrays) if row]):
        raise _unknown(
            name, f"arrays other than 1 2 0 TYPE WHERE @N are not known: {arrays[:60]!r}"
        )
    members = {n for n, row in enumerate(rows, 1) if "method{ raid }" in row}
    if members != set(found) or found.get(max(members, default=0)) != ("crypto-lvm", "-"):
        raise _unknown(name, "each of its raid partitions is in an array, the last is crypto-lvm")
    encrypted = max(members)
    if any("$lvmok" not in row for row in rows[encrypted:]):
        raise _unknown(name, "a partition follows the encrypted one")
    for n in members - {encrypted}:
        kind, mount = found[n]
        what = f"method{{ format }} filesystem{{ {kind} }} mountpoint{{ {mount} }}"
        rows[n - 1] = rows[n - 1].replace("method{ raid }", what)
    return rows[: encrypted - 1] + rows[encrypted:]


def _questions(text: str) -> dict[str, str]:
    """Question → value, continued lines joined, as debconf-set-selections(1) reads them."""
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    found = (QUESTION.match(line) for line in joined.splitlines())
    return {match[1]: match[2].strip() for match in found if match}


def _part(words: str, name: str) -> Part:
    sizes, said = words.split(None, 4)[:4], words.split(None, 4)[4:]
    if len(sizes) < 4 or not all(re.fullmatch(r"-1|[0-9]+", size) for size in sizes[:3]):
        raise _unknown(name, f"sizes other than plain MB are not known: {words.strip()[:60]!r}")
    minimum, priority, maximum = map(int, sizes[:3])
    told = {f"{dollar}{key}": value for dollar, key, value in SPECIFIER.findall(" ".join(said))}
    if strange := told.keys() - KNOWN:
        raise _unknown(name, f"it asks for {', '.join(sorted(strange))}")
    if told.get("$iflabel", "gpt") != "gpt" or told.get("method") not in METHODS:
        raise _unknown(name, f"no GPT, or a method that is not known: {words.strip()[:60]!r}")
    volume = told.get("lv_name", "")
    if ("$lvmok" in told) != bool(volume):
        raise _unknown(name, "a volume has both $lvmok{ } and a lv_name{ }")
    method = told["method"]
    return Part(
        minimum=minimum,
        priority=max(priority, minimum),
        maximum=maximum if maximum == -1 else max(maximum, minimum),
        method=method,
        filesystem=FILESYSTEMS.get(method, told.get("filesystem", "")),
        mount="/boot/efi" if method == "efi" else told.get("mountpoint", ""),
        volume=volume,
    )


def _unknown(name: str, what: str) -> BadInput:
    return BadInput(
        f"the image method cannot follow it: {what}",
        where=f"preseed/recipes/{name}",
        mend='write it as preseed/recipes/luks-lvm is, or install with method = "preseed"',
    )
