"""Facts become the inventory's entry; nothing a person knew is erased."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metal.enroll.learn import changes, cpu_text, learned, memory_gib
from metal.model.facts import Cpu, Dimm, Drive, Facts, Nic
from metal.model.fleet import Disk, Learned

BY_HAND = Learned(
    cores=12,
    threads=24,
    memory_gib=48,
    macs=("02:00:5e:00:07:01",),
    disks=(Disk(name="sda", size_gib=223, media="ssd"),),
)


def facts(**told: object) -> Facts:
    return Facts.model_validate({"address": "10.0.0.1", "protocol": "redfish"} | told)


def test_a_full_entry() -> None:
    told = facts(
        vendor="Dell Inc.",
        model="PowerEdge R640",
        serial="8XKQ2L2",
        uuid="4C4C4544-0058-4B10-8051-B8C04F324C32",
        cpu=Cpu(
            model="Intel(R) Xeon(R) Silver 4114 CPU @ 2.20GHz", sockets=2, cores=20, threads=40
        ),
        memory_gib=128,
        nics=(Nic(name="1", mac="02:00:5e:00:00:02"), Nic(name="2", mac="02:00:5e:00:00:01")),
        drives=(
            Drive(name="sda", size_bytes=240 * 10**9, media="ssd", serial="S1"),
            Drive(name="bay 7"),
        ),
    )
    assert learned(told).model_dump(exclude_none=True) == {
        "vendor": "Dell Inc.",
        "model": "PowerEdge R640",
        "serial": "8XKQ2L2",
        "uuid": "4c4c4544-0058-4b10-8051-b8c04f324c32",
        "cpu": "2 × Intel Xeon Silver 4114",
        "cores": 20,
        "threads": 40,
        "memory_gib": 128,
        "macs": ("02:00:5e:00:00:02", "02:00:5e:00:00:01"),
        "disks": ({"name": "sda", "size_gib": 223, "media": "ssd", "serial": "S1"},),
    }


def test_what_the_bmc_does_not_tell_stays_as_a_person_wrote_it() -> None:
    new = learned(facts(vendor="HP", protocol="ipmi"), BY_HAND)
    assert new == BY_HAND.model_copy(update={"vendor": "HP"})


@given(st.builds(Learned, memory_gib=st.integers(1, 4096), cores=st.integers(1, 256)))
def test_silence_changes_nothing(before: Learned) -> None:
    assert learned(facts(), before) == before
    assert changes(before, learned(facts(), before)) == []


@pytest.mark.parametrize(
    ("dimms", "total", "expected"),
    [
        ((16,) * 4, 64, 64),
        ((15.26,) * 16, 244, 256),  # Gigabyte: 15625 MiB a module
        ((), 476.837376, 512),  # iDRAC7: 512 GB told in GiB
        ((), 96, 96),
        ((), 61.035, 64),
        ((), 7, 7),
        ((), None, None),
        ((1, 1), None, 2),
        ((), 36, 36),
    ],
)
def test_memory_is_whole_gib(
    dimms: tuple[float, ...], total: float | None, expected: int | None
) -> None:
    modules = tuple(Dimm(slot=str(i), size_gib=s) for i, s in enumerate(dimms)) or None
    assert memory_gib(facts(dimms=modules, memory_gib=total)) == expected


@pytest.mark.parametrize(
    ("model", "sockets", "text"),
    [
        ("AMD EPYC 7702 64-Core Processor                ", 2, "2 × AMD EPYC 7702"),
        ("Intel(R) Xeon(R) CPU E5-2450 0 @ 2.10GHz", 1, "1 × Intel Xeon E5-2450"),
        ("Intel(R) Xeon(R) CPU D-1541 @ 2.10GHz", None, "Intel Xeon D-1541"),
    ],
)
def test_cpu_names_are_short(model: str, sockets: int | None, text: str) -> None:
    assert cpu_text(Cpu(model=model, sockets=sockets)) == text


def test_changes_name_what_is_gone_and_what_is_new() -> None:
    old = Learned(
        memory_gib=64,
        macs=("02:00:5e:00:00:01",),
        disks=(
            Disk(name="sda", size_gib=223, serial="S1"),
            Disk(name="sdb", size_gib=894, serial="S2"),
        ),
    )
    new = Learned(
        memory_gib=48,
        macs=("02:00:5e:00:00:02",),
        disks=(
            Disk(name="sdb", size_gib=223, serial="S1"),
            Disk(name="sda", size_gib=1788, serial="S3"),
        ),
    )
    assert changes(old, new) == [
        "memory_gib: 64 → 48",
        "network card 02:00:5e:00:00:01 is gone",
        "network card 02:00:5e:00:00:02 is new",
        "disk sdb (serial S2) is gone",
        "disk sda (serial S3) is new",
    ]
    assert changes(None, new) == []
    assert changes(new, new) == []


def test_json_of_a_journal_gives_the_same_facts() -> None:
    told = facts(nics=(Nic(name="1", mac="02:00:5e:00:00:02"),), memory_gib=64)
    replayed = Facts.model_validate(json.loads(json.dumps(told.model_dump(mode="json"))))
    assert learned(replayed) == learned(told)


def test_the_lab_s_hardware_is_what_the_inventory_says_by_hand() -> None:
    from metal.inventory import load
    from metal.lab.hardware import hardware_for

    inventory = load(Path(__file__).resolve().parents[2])
    machines = hardware_for(inventory)
    assert machines == hardware_for(inventory)
    assert len({h.serial for h in machines.values()} | {h.uuid for h in machines.values()}) == 20
    macs = [n.mac for h in machines.values() for n in h.nics]
    assert len(set(macs)) == len(macs)
    for name, server in inventory.servers.items():
        hardware = machines[name]
        assert 32 <= hardware.memory_gib <= 128
        if server.learned:
            known = server.learned
            assert (known.memory_gib, known.cores) == (hardware.memory_gib, hardware.cpu.cores)
            assert known.macs == tuple(n.mac for n in hardware.nics)


def test_a_module_that_is_gone_is_named_by_its_slot() -> None:
    before = facts(dimms=tuple(Dimm(slot=f"A{i}", size_gib=16) for i in (1, 2, 3)))
    now = facts(dimms=tuple(Dimm(slot=f"A{i}", size_gib=16) for i in (1, 3)))
    old, new = learned(before), learned(now, learned(before))
    assert (old.dimms, new.dimms) == ("3 × 16 GiB", "2 × 16 GiB")
    assert changes(old, new, before.dimms, now.dimms) == [
        "memory_gib: 48 → 32",
        "memory module A2 (16 GiB) is gone",
    ]
    assert "memory modules: 3 × 16 GiB → 2 × 16 GiB" in changes(old, new), "slots are forgotten"


def test_new_firmware_is_a_change_and_a_uuid_that_turned_round_is_none() -> None:
    told = Learned(
        serial="A1",
        bios_version="2.1",
        bmc_firmware="4.40",
        uuid="4c4c4544-0042-4a10-8036-b4c04f4d3132",
    )
    new = told.model_copy(
        update={"bios_version": "2.2", "uuid": "44454c4c-4200-104a-8036-b4c04f4d3132"}
    )
    assert changes(told, new) == ["BIOS: 2.1 → 2.2"]


def test_what_is_not_told_this_time_stays_known() -> None:
    before = learned(facts(sku="TAG", bios_version="2.1", board_serial="MB1"))
    assert learned(facts(), before) == before


def test_of_a_list_that_was_not_read_whole_nothing_is_gone() -> None:
    drives = (Drive(name="sdb", size_bytes=2**40, serial="S2"), Drive(name="x", size_bytes=2**40))
    told = facts(
        drives=drives,
        nics=(Nic(name="2", mac="02:00:5e:00:07:02"),),
        dimms=(Dimm(slot="A1", size_gib=16),),
        cpu=Cpu(model="Intel Xeon X5650"),
        unknown=dict.fromkeys(("drives", "nics", "dimms", "cpu.sockets"), "HTTP 500"),
    )
    old = BY_HAND.model_copy(update={"cpu": "2 × Intel Xeon X5650", "dimms": "6 × 8 GiB"})
    new = learned(told, old)
    assert [d.name for d in new.disks] == ["sdb", "x", "sda"]
    assert set(new.macs) == {"02:00:5e:00:07:01", "02:00:5e:00:07:02"}
    assert (new.cpu, new.dimms, new.memory_gib) == (old.cpu, "6 × 8 GiB", 48)
    assert not [said for said in changes(old, new) if "gone" in said or "→" in said]


def test_a_module_that_was_swapped_for_another_of_its_size_is_told() -> None:
    def with_(*serials: str | None) -> Facts:
        modules = (Dimm(slot=f"A{i}", size_gib=16, serial=s) for i, s in enumerate(serials, 1))
        return facts(dimms=tuple(modules))

    before, now = with_("M1", "M2", "M3"), with_("M1", "M9", None)
    old, new = learned(before), learned(now)
    assert changes(old, new, before.dimms, now.dimms) == [
        "memory module A2 (16 GiB) was swapped: serial M2 → M9"
    ]
    assert changes(new, old, with_(None, None, None).dimms, before.dimms) == []
