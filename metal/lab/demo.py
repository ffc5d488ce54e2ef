"""`make demo`: the whole life of ten donated servers, told and checked.

Everything is done by the `metal` command, as a person would; every claim is checked against the
lab's own truth, which `metal` never reads. It exits 0 only if each of them held.
"""

import hashlib
import itertools
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from metal.inventory import load
from metal.lab import control
from metal.lab.topology import FACTORY_PASSWORD, FACTORY_USER
from metal.model.errors import MetalError, Refused, Unreachable
from metal.model.fleet import Inventory

SPEED = 30.0
"""Lab seconds in a real one: Proxmox's two minutes to give a node up pass in four seconds."""
REPOSITORY = Path(__file__).resolve().parents[2]


class Broken(Exception):
    """A claim of the story did not hold."""


class Story:
    """Tells the story, remembers what was checked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.checked = 0
        self.started = time.monotonic()

    def chapter(self, number: int, text: str) -> None:
        print(f"\n[{time.monotonic() - self.started:4.0f} s] {number}. {text}", flush=True)

    def claim(self, text: str, holds: bool, why: object = "") -> None:
        if not holds:
            raise Broken(f"{text}\n  → {why}")
        self.checked += 1
        print(f"     ok  {text}", flush=True)

    def metal(self, *words: str, expect: int = 0) -> str:
        """Run the command for real; its talk goes to the person, its data comes back."""
        here = os.path.relpath(self.folder)
        print(f"     $ metal -C {here} {' '.join(words)}", flush=True)
        done = subprocess.run(
            [sys.executable, "-m", "metal", "-C", str(self.folder), *words],
            stdout=subprocess.PIPE,
            text=True,
            env={
                **os.environ,
                "METAL_BMC_USER": FACTORY_USER,
                "METAL_BMC_PASSWORD": FACTORY_PASSWORD,
            },
        )
        if done.returncode != expect:
            print(done.stdout, flush=True)  # a table says what each of many things failed of
            raise Broken(f"`metal {' '.join(words)}` ended with {done.returncode}, not {expect}")
        return done.stdout

    @property
    def truth(self) -> dict[str, Any]:
        return control.status(self.folder).truth

    @property
    def inventory(self) -> Inventory:
        return load(self.folder)


def rack(story: Story) -> None:
    """A virtual rack starts."""
    control.up(REPOSITORY, story.folder, speed=SPEED)
    inventory, truth = story.inventory, story.truth
    spoken = [s.bmc.protocol for s in inventory.servers.values()]
    story.claim(
        f"{len(truth['servers'])} servers at {len(inventory.sites)} sites, all without power",
        len(truth["servers"]) == len(inventory.servers) == 10
        and all(s["power"] == "off" for s in truth["servers"].values()),
        truth["servers"],
    )
    story.claim(
        f"{spoken.count('redfish')} BMCs speak Redfish over HTTPS, "
        f"{spoken.count('ipmi')} IPMI 2.0 over UDP",
        {"redfish", "ipmi"} == set(spoken),
        spoken,
    )


def enrol(story: Story) -> None:
    """`metal enroll` learns what each is and takes it over."""
    before = (story.folder / "inventory.toml").read_text()
    story.metal("enroll", "--all")
    after = (story.folder / "inventory.toml").read_text()
    servers = story.inventory.servers
    story.claim(
        "each server's make, memory, disks and network cards stand in inventory.toml",
        all(
            s.learned and s.learned.vendor and s.learned.memory_gib and s.learned.disks
            for s in servers.values()
        ),
        after,
    )
    comments = [line for line in before.splitlines() if line.startswith("#")]
    story.claim(
        f"all {len(comments)} comments in it were kept",
        [c for c in after.splitlines() if c.startswith("#")] == comments,
    )
    pins = [s.bmc.fingerprint for s in servers.values() if s.bmc.protocol == "redfish"]
    suites = [s.bmc.cipher_suite for s in servers.values() if s.bmc.protocol == "ipmi"]
    story.claim(f"{len(pins)} certificates are pinned", all(pins), pins)
    story.claim(
        f"IPMI cipher suites that worked: {', '.join(map(str, suites))}", 3 in suites, suites
    )
    story.claim("no BMC takes the factory password any more", _factory_refused(story), "")


def _factory_refused(story: Story) -> bool:
    from metal.drivers.bmc import connect

    for server in story.inventory.servers.values():
        try:
            connect(server.bmc, FACTORY_USER, FACTORY_PASSWORD).close()
        except Refused:
            continue
        return False
    return True


def build(story: Story) -> None:
    """`metal plan`, `metal apply`: install, form the clusters, place the VMs."""
    plan = os.path.relpath(story.folder / "plan.json")
    story.metal("plan", "--out", plan, expect=10)
    story.metal("apply", plan, "--yes")
    truth = story.truth
    systems = {
        name: [(d, s) for d, s in server["disks"].items() if s["system"]]
        for name, server in truth["servers"].items()
    }
    story.claim(
        "every server is on, with Debian on exactly one disk, wiped exactly once",
        all(
            server["power"] == "on"
            and len(systems[name]) == 1
            and sum(d["wipes"] for d in server["disks"].values()) == 1
            for name, server in truth["servers"].items()
        ),
        truth["servers"],
    )
    story.claim(
        "every disk opens with one key, which an administrator finds in escrow",
        all(disks[0][1]["luks"] == [_escrowed_key(story, n)] for n, disks in systems.items()),
        systems,
    )
    story.claim(
        "the key that crossed the boot network was escrowed before, and opens no disk any more",
        _escrowed_before(story)
        and all(_first_key(story, n) not in disks[0][1]["luks"] for n, disks in systems.items()),
        systems,
    )


def keys(story: Story) -> None:
    """`metal keys verify`: an administrator's key opens the escrow, and that opens the disks."""
    identity = os.path.relpath(story.folder / "lab" / "administrator.key")
    verdicts = json.loads(story.metal("-o", "json", "keys", "verify", "-i", identity))
    story.claim(
        f"{len(verdicts)} disks were tried over SSH: each opens with the escrowed key alone",
        len(verdicts) == len(story.inventory.servers)
        and all(v["works"][1].endswith("nothing else does") for v in verdicts),
        verdicts,
    )


def _first_key(story: Story, server: str) -> str:
    """SHA-256 of the key that the installer got: the older generation in escrow."""
    return _escrowed_key(story, f"{server}.1")


def _escrowed_key(story: Story, server: str) -> str:
    """SHA-256 of the key an administrator finds in escrow."""
    import pyrage

    identity = (story.folder / "lab" / "administrator.key").read_text().strip()
    sealed = (story.folder / "secrets" / "disk" / f"{server}.age").read_bytes()
    opened = pyrage.decrypt(sealed, [pyrage.x25519.Identity.from_str(identity)])
    return hashlib.sha256(opened).hexdigest()


def _escrowed_before(story: Story) -> bool:
    """The escrow file is older than the moment the preseed, which holds the key, went out."""
    for name in story.inventory.servers:
        written = (story.folder / "secrets" / "disk" / f"{name}.1.age").stat().st_mtime
        if written > story.truth["servers"][name]["asked_at"]:
            return False
    return True


def clusters(story: Story) -> None:
    """Three clusters, Ceph on each."""
    found = _clusters(story)
    osds = [osd for cluster in found for osd in cluster["ceph"]["osds"]]
    story.claim(
        "three clusters of three nodes, quorate",
        sorted(len(c["members"]) for c in found) == [3, 3, 3] and all(c["quorate"] for c in found),
        found,
    )
    story.claim(
        f"Ceph on each, {len(osds)} OSDs in all, every one encrypted",
        all(c["ceph"]["osds"] for c in found) and all(osd["encrypted"] for osd in osds),
        found,
    )
    story.claim("no two joins of a cluster ever overlapped", _joins_apart(story))


JOIN_SECONDS = 6.0
"""Lab seconds that a join takes: two that begin closer together overlap."""


def _joins_apart(story: Story) -> bool:
    times: dict[str, list[float]] = {}
    for event in story.truth["events"]:
        what, _, cluster = event["what"].rpartition(" ")
        if what == "entered cluster":
            times.setdefault(cluster, []).append(event["at"])
    gaps = [b - a for at in times.values() for a, b in itertools.pairwise(at)]
    return len(gaps) == 3 and min(gaps) >= JOIN_SECONDS


def _clusters(story: Story) -> list[Any]:
    """Of the truth's clusters those with a name: a lone node is one without."""
    return [cluster for cluster in story.truth["clusters"].values() if cluster["name"]]


def vms(story: Story) -> None:
    """43 VMs run, each with its addresses, and any one server may die."""
    running = _vms(story)
    inventory = story.inventory
    story.claim(
        f"{len(running)} VMs run, each exactly once",
        len(running) == len(inventory.vms) == 43 and _each_once(running),
        running,
    )
    kinds = [vm.ipv4 for vm in inventory.vms.values()]
    story.claim(
        f"addresses: {kinds.count('dedicated')} with an IPv4 of their own, "
        f"{kinds.count('nat')} behind NAT, {kinds.count('proxy')} behind a proxy, "
        f"{kinds.count('ipv6')} on IPv6 only",
        _addresses_unique(running),
        running,
    )
    plan = json.loads(story.metal("-o", "json", "plan"))
    story.claim("nothing is left to do", plan["actions"] == [], plan)
    frail = [server for server in inventory.servers if not _may_die(inventory, running, server)]
    story.claim("any one server may die: there is room for what ran on it", not frail, frail)


def _vms(story: Story) -> dict[str, Any]:
    """Name → what is true of that VM."""
    return {vm["name"]: vm for vm in story.truth["vms"]}


def _may_die(inventory: Inventory, vms: Mapping[str, Any], server: str) -> bool:
    """By trying every way to share its VMs out; a solo machine's need replicas elsewhere."""
    lost = [name for name, vm in vms.items() if vm["copies"] == [server]]
    cluster = inventory.cluster_of(server)
    others = [s for s in inventory.clusters[cluster or ""].servers if s != server]
    if not others:
        return all(_has_replica(inventory, vms, name, server) for name in lost)
    room = [_room(inventory, vms, other) for other in others]
    memory = [inventory.needs(name).memory_mib for name in lost]
    return any(
        all(
            sum(m for m, at in zip(memory, way, strict=True) if at == i) <= room[i]
            for i in range(len(others))
        )
        for way in itertools.product(range(len(others)), repeat=len(lost))
    )


def _room(inventory: Inventory, vms: Mapping[str, Any], server: str) -> int:
    """MiB that VMs may still take on a server."""
    learned = inventory.servers[server].learned
    held = [inventory.needs(n).memory_mib for n, vm in vms.items() if vm["copies"] == [server]]
    total = (learned.memory_gib or 0) if learned else 0
    return int((total - inventory.profile(server).reserved_memory_gib) * 1024) - sum(held)


def _has_replica(inventory: Inventory, vms: Mapping[str, Any], vm: str, server: str) -> bool:
    group = inventory.vms[vm].apart
    return group is not None and any(
        inventory.vms[other].apart == group and vms[other]["copies"] != [server]
        for other in inventory.vms
        if other != vm
    )


def _each_once(vms: Mapping[str, Any]) -> bool:
    return all(len(vm["copies"]) == 1 and vm["max_copies"] == 1 for vm in vms.values())


def _addresses(vm: Mapping[str, Any]) -> list[str]:
    """What cloud-init gives it: "ip=10.1.2.3/20,gw=…,ip6=…" of each card."""
    cards = [str(v) for k, v in vm["config"].items() if k.startswith("ipconfig")]
    pairs = [part.partition("=") for card in cards for part in card.split(",")]
    return [value for key, _, value in pairs if key in ("ip", "ip6")]


def _addresses_unique(vms: Mapping[str, Any]) -> bool:
    addresses = [a for vm in vms.values() for a in _addresses(vm)]
    return all(_addresses(vm) for vm in vms.values()) and len(addresses) == len(set(addresses))


def failures(story: Story) -> None:
    """One server dies, another sickens; at the end all 43 run."""
    lost = _on(story, "alba2")
    print(f"     alba2 hangs with {len(lost)} VMs on it: {', '.join(sorted(lost))}", flush=True)
    control.break_(story.folder, "alba2", "crash")
    story.metal("watch", "--once", "--act")
    power, now = story.truth["servers"]["alba2"]["power"], _vms(story)
    story.claim("alba2 was proven off by its BMC", power == "off", power)
    story.claim(
        f"its {len(lost)} VMs run elsewhere, none ever ran twice",
        bool(lost) and _each_once(now) and all(now[n]["copies"] != ["alba2"] for n in lost),
        now,
    )
    sick = _on(story, "bora3")
    print(f"     bora3 loses a power supply with {len(sick)} VMs on it", flush=True)
    control.break_(story.folder, "bora3", "psu")
    story.metal("watch", "--once", "--act")
    now = _vms(story)
    story.claim(
        f"its {len(sick)} VMs were live-migrated off: none was restarted",
        bool(sick)
        and all(
            now[n]["copies"] != ["bora3"] and now[n]["starts"] == vm["starts"]
            for n, vm in sick.items()
        ),
        now,
    )
    story.claim(f"all {len(now)} VMs run, each exactly once", _each_once(now), now)


def _on(story: Story, server: str) -> dict[str, Any]:
    return {name: vm for name, vm in _vms(story).items() if vm["copies"] == [server]}


def screen(story: Story) -> None:
    """The TUI's fleet screen, as text."""
    print(story.metal("tui", "--text"))


CHAPTERS = (
    ("A virtual rack starts", rack),
    ("metal enroll: what is each server, and from now on it is ours", enrol),
    ("metal plan, metal apply: Debian on encrypted disks, clusters, VMs", build),
    ("metal keys verify: an administrator can open every disk", keys),
    ("Three clusters formed, one join at a time", clusters),
    ("43 VMs, placed so that any one server may die", vms),
    ("One server dies, another is about to", failures),
    ("What a person at the rack sees: metal tui", screen),
)


def main() -> int:
    folder = Path(os.environ.get("METAL_DEMO", REPOSITORY / ".demo"))
    if (folder / "lab" / "topology.json").exists():
        control.down(folder)
    shutil.rmtree(folder, ignore_errors=True)
    story = Story(folder)
    try:
        for number, (title, chapter) in enumerate(CHAPTERS, 1):
            story.chapter(number, title)
            chapter(story)
    except (Broken, MetalError) as error:
        print(f"\n     NOT SO: {error}\n  → the lab's workspace is {folder}", file=sys.stderr)
        return 1
    finally:
        _end(folder)
    seconds = time.monotonic() - story.started
    where = os.path.relpath(folder)
    print(f"{story.checked} claims, all of them checked, in {seconds:.0f} s.")
    print(f"The lab has ended; what it left is in {where}/: `metal -C {where} status --last`,")
    print("`… run list --all`. The same by hand, command by command: docs/tutorial.md")
    return 0


def _end(folder: Path) -> None:
    try:
        control.down(folder)
    except (Refused, Unreachable):
        return


if __name__ == "__main__":
    sys.exit(main())
