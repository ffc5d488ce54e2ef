"""`metal server`: what is known of servers, shown without asking anybody."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from metal.cli.render.server import _parts, detail_lines, server_lines
from metal.controller.knowing import Done, KnownServer
from metal.model.burnin import Appraisal, BurnIn, DiskTest, Evidence, NicTest
from metal.model.facts import Account, BootMode, Cpu, Dimm, Drive, Facts, Nic, Psu
from metal.model.findings import Finding
from metal.model.fleet import BmcAccess, Disk, Learned, Outlet, PowerAccess, Server
from metal.model.life import Life, Status
from metal.model.passport import BootProof, Passport, Route

UEFI: BootMode = "uefi"
SERVER = Server(
    site="lisbon",
    rack="A2",
    unit=12,
    profile="ceph-node",
    address="10.11.1.11",
    bmc=BmcAccess(
        address="10.11.0.11", protocol="redfish", fingerprint=":".join(["0A", "F1"] * 16)
    ),
    learned=Learned(
        vendor="Dell",
        model="PowerEdge R640",
        serial="7X3K9Q2",
        cpu="2 × Intel Xeon Silver 4114",
        cores=20,
        threads=40,
        memory_gib=32,
        macs=("02:00:5e:00:00:11",),
        disks=(Disk(name="Bay 1", size_gib=223, media="ssd", serial="S1"),),
    ),
)
FACTS = Facts(
    address="10.11.0.11",
    protocol="redfish",
    vendor="Dell",
    model="PowerEdge R640",
    serial="7X3K9Q2",
    bios_version="2.19.1",
    bmc_firmware="4.40.00.00",
    power_state="on",
    health="warning",
    cpu=Cpu(model="Intel Xeon Silver 4114", sockets=2, cores=20, threads=40),
    memory_gib=32,
    dimms=(Dimm(slot="A1", size_gib=16), Dimm(slot="B1", size_gib=16)),
    drives=(
        Drive(name="Bay 1", size_bytes=240 * 10**9, media="ssd", serial="S1", wear_percent=17),
        Drive(name="Bay 2", size_bytes=2 * 10**12, media="hdd", serial="S2", failing=True),
    ),
    nics=(Nic(name="NIC 1", mac="02:00:5e:00:00:11"),),
    psus=(Psu(name="PSU 1", health="ok"), Psu(name="PSU 2", health="critical")),
    accounts=(Account(name="metal"),),
    unknown={"uuid": "the BMC does not tell it", "sku": "the BMC does not tell it"},
)
WHOLE = KnownServer(
    name="alba1",
    life=Life.ENROLLED,
    status=Status.DONE,
    cluster="alba",
    server=SERVER,
    looked_at="2026-11-20T12:00:00+00:00",
    facts=FACTS,
    findings=(
        Finding(
            id="cipher-0",
            severity="critical",
            what="cipher suite 0 is open: anybody on its network is administrator",
            remedy="ipmitool lan set 1 cipher_privs XXaXXXXXXXXXXXX",
        ),
    ),
    passport=Passport(
        proven_at="2026-11-20T12:00:05+00:00",
        protocols=("redfish", "ipmi"),
        redfish_version="1.6.0",
        tls="modern",
        tls_version="TLSv1.3",
        cipher_suite=17,
        console="ipmi-sol",
        seconds_a_call=0.41,
        poll_seconds=8.2,
        boots=(
            BootProof(device="network", mode=UEFI, works=True),
            BootProof(device="http", works=False, why="400 PropertyValueNotInList"),
        ),
    ),
    unexamined={"clock-off": "the BMC does not tell it", "log-full": "the BMC does not tell it"},
    route=Route(
        method="pxe",
        why="its firmware boots by PXE (uefi); sites.lisbon.boot.dhcp is ours",
        rejected={
            "redfish-iso": "its BMC has no virtual drive that takes an image",
            "stick": "a person plugs in a stick: that works with every server",
        },
    ),
    operations=(
        Done(run=4, kind="install", status=Status.FAILED, at="2026-11-20T13:00:00+00:00",
             error="alba1: the installer said nothing for 30 minutes"),
        Done(run=1, kind="enroll", status=Status.DONE, at="2026-11-20T12:00:00+00:00"),
    ),
)  # fmt: skip
BARE = KnownServer(
    name="alba2",
    life=Life.FOUND,
    status=Status.DONE,
    cluster=None,
    server=SERVER.model_copy(update={"learned": None, "bmc": BmcAccess(address="10.11.0.12")}),
)


def test_one_server_of_which_all_is_known(golden) -> None:
    golden("server-show.txt", "\n".join(detail_lines(WHOLE, 80)))


def test_one_server_of_which_nothing_is_known(golden) -> None:
    golden("server-show-bare.txt", "\n".join(detail_lines(BARE, 80)))


TOLD_LITTLE = Facts(
    address="10.11.0.11",
    protocol="ipmi",
    vendor="Supermicro",
    model="X10DRi",
    unknown=dict.fromkeys(
        ("cpu.model", "cpu.sockets", "cpu.cores", "cpu.threads", "memory_gib", "drives", "nics"),
        "IPMI never tells it",
    ),
)
BURNT = BurnIn(
    at="2026-11-21T09:00:00+00:00",
    evidence=Evidence(
        minutes=60,
        disks=(DiskTest(name="sda", serial="S1", model="PM883", size_bytes=240 * 10**9),),
        nics=(NicTest(name="eno1", mac="02:00:5e:00:00:11"),),
    ),
    appraisal=Appraisal(grade="A", verdict="accept", fits_why="the inventory puts it in none"),
)


def test_what_its_bmc_does_not_tell_others_know(golden) -> None:
    quiet = WHOLE.model_copy(update={"facts": TOLD_LITTLE, "passport": None, "operations": ()})
    burnt = quiet.model_copy(update={"burnin": BURNT})
    unlearned = burnt.model_copy(update={"facts": None, "burnin": BURNT})
    shown = ["\n".join(_parts(one, 80)) for one in (quiet, burnt, unlearned)]
    golden("server-besides.txt", "\n\n".join(shown))


def test_all_servers(golden) -> None:
    golden("server-list.txt", "\n".join(server_lines([WHOLE, BARE], 80)))


@pytest.mark.parametrize("width", [60, 80, 132])
def test_nothing_is_wider_than_the_screen(width: int) -> None:
    for one in (WHOLE, BARE):
        assert [line for line in detail_lines(one, width) if len(line) > width] == []
    assert [line for line in server_lines([WHOLE, BARE], width) if len(line) > width] == []


@pytest.mark.parametrize("words", [("list",), ("show", "alba1")])
def test_what_is_asked_as_data_is_all_there_is_on_stdout(
    metal, workspace: Path, words: tuple[str, ...]
) -> None:
    said = metal("-C", str(workspace), "server", *words, "-o", "json")
    document = json.loads(said.out)
    assert said.code == 0
    first = document if words[0] == "show" else document[0]
    assert (first["name"], first["life"], first["facts"]) == ("alba1", "found", None)


def test_what_the_store_keeps_is_shown(metal, workspace: Path) -> None:
    from metal.controller.workspace import Workspace

    with Workspace.open(workspace).store as store:
        store.records.put("alba1", "facts", FACTS.model_dump(mode="json"))
        store.records.put("alba1", "findings", [f.model_dump() for f in WHOLE.findings or ()])
        store.records.put("alba1", "passport", {"of": "another version"})
        store.journal.open("enroll", "alba1", ("server alba1",), {})
    document = json.loads(metal("-C", str(workspace), "server", "show", "alba1", "-o", "json").out)
    assert document["facts"]["serial"] == "7X3K9Q2" and document["looked_at"] is not None
    assert [f["id"] for f in document["findings"]] == ["cipher-0"]
    assert document["passport"] is None
    assert [o["kind"] for o in document["operations"]] == ["enroll"]


def test_a_server_that_is_not_there(metal, workspace: Path) -> None:
    said = metal("-C", str(workspace), "server", "show", "alba")
    assert said.code == 2 and "there is no server alba" in said.err and "did you mean" in said.err


@pytest.mark.parametrize(
    ("power", "said"),
    [
        (PowerAccess(driver="manual"), "power         switched by a person at the rack"),
        (PowerAccess(driver="fence", agent="fence_apc_snmp", address="10.11.0.9", plug="3,4"),
         "power         switched by fence_apc_snmp at 10.11.0.9, plug 3,4"),
        (PowerAccess(driver="fence", agent="fence_apc_snmp", plug="3",
                     outlets=(Outlet(address="10.11.0.8"), Outlet(address="10.11.0.9", plug="5"))),
         "power         switched by fence_apc_snmp at 10.11.0.8, plug 3 and fence_apc_snmp"),
    ],
)  # fmt: skip
def test_what_switches_it_is_told_where_it_is_not_the_bmc(power: PowerAccess, said: str) -> None:
    server = SERVER.model_copy(update={"power": power})
    assert said in detail_lines(WHOLE.model_copy(update={"server": server}), 80)


@pytest.mark.parametrize(
    ("gone", "says"),
    [
        ((), "Bay 1 (serial S1) and Bay 2 (serial S2), mirrored"),
        (("Bay 2",), "Bay 2 WAS NOT THERE at the last look: it runs, and starts, from the other"),
        (("Bay 1", "Bay 2"), "Bay 1 and Bay 2 WAS NOT THERE"),
    ],
)
def test_two_system_drives_and_what_is_gone_of_them(gone: tuple[str, ...], says: str) -> None:
    system = tuple(Disk(name=f"Bay {n}", size_gib=223, serial=f"S{n}") for n in (1, 2))
    one = KnownServer(
        name="alba1", life=Life.MEMBER, status=Status.DONE, cluster=None, server=SERVER,
        system=system, gone=gone,
    )  # fmt: skip
    assert says in " ".join(" ".join(detail_lines(one, 200)).split())


def test_a_drive_is_gone_only_where_all_were_listed() -> None:
    from metal.controller.knowing import _gone

    system = (Disk(name="a", size_gib=1, serial="S1"), Disk(name="b", size_gib=1, serial="S2"))
    there = Drive(name="Bay 1", serial="S1")
    assert _gone(system, FACTS.model_copy(update={"drives": (there,), "unknown": {}})) == ("b",)
    for unseen in (
        {"drives": None},
        {"drives": ()},
        {"drives": (there,), "unknown": {"drives": "500"}},
    ):
        assert _gone(system, FACTS.model_copy(update=unseen)) == ()
    assert _gone(system, None) == ()
