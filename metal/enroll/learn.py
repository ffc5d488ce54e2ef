"""What a BMC told → what the inventory keeps. Pure.

What enrolment learned and what a person wrote before are merged: a BMC that does not tell
something never erases what somebody knew.
"""

import re
from collections import Counter
from collections.abc import Iterable

from metal.enroll.identity import canonical_uuid
from metal.model.facts import Cpu, Dimm, Drive, Facts
from metal.model.fleet import Disk, Learned
from metal.model.memory import made_size, modules_gib, whole_dimms

GIB = 2**30
MIXED_UNITS = (1, 2**20 / 10**6, 2**30 / 10**9)
"""How far off totals are: right, MB taken for MiB, GB taken for GiB."""


def learned(facts: Facts, previous: Learned | None = None) -> Learned:
    """The inventory's entry: `facts` where they say something, else what stood there before."""
    before = previous or Learned()
    return Learned(
        vendor=facts.vendor or before.vendor,
        model=facts.model or before.model,
        serial=facts.serial or before.serial,
        sku=facts.sku or before.sku,
        uuid=facts.uuid.lower() if facts.uuid else before.uuid,
        board_serial=facts.board_serial or before.board_serial,
        bmc_mac=facts.bmc_mac or before.bmc_mac,
        bios_version=facts.bios_version or before.bios_version,
        secure_boot=before.secure_boot if facts.secure_boot is None else facts.secure_boot,
        bmc_firmware=facts.bmc_firmware or before.bmc_firmware,
        cpu=_cpu(facts, before),
        cores=facts.cpu.cores or before.cores,
        threads=facts.cpu.threads or before.threads,
        memory_gib=memory_gib(facts) or before.memory_gib,
        dimms=dimms_text(whole_dimms(facts)) or before.dimms,
        macs=_macs(facts, before) or before.macs,
        disks=_all_disks(facts, before) or before.disks,
    )


def _cpu(facts: Facts, before: Learned) -> str | None:
    """The same model with nobody telling how many is no change."""
    text = cpu_text(facts.cpu)
    if text and not facts.cpu.sockets and before.cpu and before.cpu.endswith(f"× {text}"):
        return before.cpu
    return text or before.cpu


def _macs(facts: Facts, before: Learned) -> tuple[str, ...]:
    told = [nic.mac for nic in facts.nics or ()]
    return tuple(dict.fromkeys(told + list(before.macs if "nics" in facts.unknown else ())))


def _all_disks(facts: Facts, before: Learned) -> tuple[Disk, ...]:
    """Those that could not be read this time are kept: silent is not gone."""
    told = _disks(facts.drives or ())
    if "drives" not in facts.unknown:
        return told
    known = {disk.serial or disk.name for disk in told}
    return (*told, *(d for d in before.disks if (d.serial or d.name) not in known))


def cpu_text(cpu: Cpu) -> str | None:
    """ "2 × Intel Xeon Silver 4114": without the marks, the clock and the padding of makers."""
    if not cpu.model:
        return None
    name = re.sub(r"\((?:R|TM|C)\)|@.*|\bCPU\b|\b0\b|\b\d+-Core Processor\b", " ", cpu.model)
    name = " ".join(name.split())
    return f"{cpu.sockets} × {name}" if cpu.sockets else name


def memory_gib(facts: Facts) -> int | None:
    """Whole GiB: the sum of real modules where they are told, else the total, units mended."""
    if modules := modules_gib(facts):
        return modules
    if not facts.memory_gib:
        return None
    for factor in MIXED_UNITS:
        total = facts.memory_gib * factor
        whole = round(total / 8) * 8
        if whole and abs(total - whole) < total / 2000:
            return whole
    return round(facts.memory_gib)


def dimms_text(dimms: tuple[Dimm, ...] | None) -> str | None:
    """ "8 × 16 GiB", the most frequent size first; which slots, the last facts tell."""
    sizes = Counter(made_size(d.size_gib) for d in dimms or ())
    order = sorted(sizes.items(), key=lambda item: (-item[1], -item[0]))
    return ", ".join(f"{count} × {size} GiB" for size, count in order) or None


def _disks(drives: Iterable[Drive]) -> tuple[Disk, ...]:
    """Drives of a known size: one without is an empty bay, or nothing can be planned with it."""
    return tuple(
        Disk(name=d.name, size_gib=d.size_bytes // GIB, media=d.media, serial=d.serial)
        for d in drives
        if d.size_bytes
    )


COMPARED = (
    "vendor",
    "model",
    "serial",
    "sku",
    "uuid",
    "board_serial",
    "bmc_mac",
    "bios_version",
    "secure_boot",
    "bmc_firmware",
    "cpu",
    "cores",
    "threads",
    "memory_gib",
)
WORDS = {
    "bios_version": "BIOS",
    "secure_boot": "Secure Boot",
    "bmc_firmware": "BMC firmware",
    "bmc_mac": "BMC's MAC address",
}


def changes(
    old: Learned | None,
    new: Learned,
    before: tuple[Dimm, ...] | None = None,
    now: tuple[Dimm, ...] | None = None,
) -> list[str]:
    """What is different from the last time, in words; nothing if there was no last time.

    `before` and `now` are the memory modules slot by slot, where both looks told them.
    """
    if old is None or old == Learned():
        return []
    said = []
    for field in COMPARED:
        was, is_ = getattr(old, field), getattr(new, field)
        if was is not None and was != is_ and not _same_uuid(field, was, is_):
            said.append(f"{WORDS.get(field, field)}: {was} → {is_}")
    said += _dimm_changes(old, new, before, now)
    said += _came_and_went("network card", old.macs, new.macs)
    said += _disk_changes(old.disks, new.disks)
    return said


def _same_uuid(field: str, was: str, is_: str) -> bool:
    """Some firmware turns the byte order round (R31)."""
    return field == "uuid" and canonical_uuid(was) == canonical_uuid(is_) is not None


def _dimm_changes(
    old: Learned,
    new: Learned,
    before: tuple[Dimm, ...] | None,
    now: tuple[Dimm, ...] | None,
) -> list[str]:
    """Slot by slot where both are known, else the counts."""
    if before and now:
        gone_and_new = _came_and_went(
            "memory module", map(_dimm_text, before), map(_dimm_text, now)
        )
        return gone_and_new + _swapped(before, now)
    if old.dimms is not None and old.dimms != new.dimms:
        return [f"memory modules: {old.dimms} → {new.dimms}"]
    return []


def _dimm_text(dimm: Dimm) -> str:
    return f"{dimm.slot} ({made_size(dimm.size_gib)} GiB)"


def _swapped(before: tuple[Dimm, ...], now: tuple[Dimm, ...]) -> list[str]:
    """Other modules of the same size in the same slots."""
    was = {_dimm_text(dimm): dimm.serial for dimm in before}
    return [
        f"memory module {_dimm_text(dimm)} was swapped: serial {serial} → {dimm.serial}"
        for dimm in now
        if (serial := was.get(_dimm_text(dimm))) and dimm.serial and serial != dimm.serial
    ]


def _disk_changes(old: tuple[Disk, ...], new: tuple[Disk, ...]) -> list[str]:
    """By serial where both have them: a disk that moved to another name is still the same."""
    serials = all(d.serial for d in (*old, *new))
    before, after = (
        {(d.serial or "") if serials else d.name: d for d in disks} for disks in (old, new)
    )
    said = _came_and_went("disk", map(_disk_text, _only(before, after)), ())
    said += _came_and_went("disk", (), map(_disk_text, _only(after, before)))
    for key in before.keys() & after.keys():
        if before[key].size_gib != after[key].size_gib:
            said.append(
                f"disk {_disk_text(after[key])}: {before[key].size_gib} → {after[key].size_gib} GiB"
            )
    return said


def _only(these: dict[str, Disk], others: dict[str, Disk]) -> list[Disk]:
    return [disk for key, disk in these.items() if key not in others]


def _disk_text(disk: Disk) -> str:
    return f"{disk.name} (serial {disk.serial})" if disk.serial else disk.name


def _came_and_went(what: str, old: Iterable[str], new: Iterable[str]) -> list[str]:
    before, after = list(old), list(new)
    return [f"{what} {item} is gone" for item in before if item not in after] + [
        f"{what} {item} is new" for item in after if item not in before
    ]
