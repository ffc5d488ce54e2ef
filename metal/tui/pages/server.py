"""Everything known of one server."""

from metal.model.fleet import Inventory, Learned, Server
from metal.model.world import SeenServer, SeenVm, World
from metal.tui.grid import Column, fit
from metal.tui.line import Line, Tone, line, tone_of
from metal.tui.rows import server_row
from metal.tui.source import Snapshot

LABEL = 10
DRIVES = (Column("DRIVE"), Column("SIZE", right=True), Column("KIND"), Column("SERIAL", rank=1))
VMS = (
    Column("VM"),
    Column("STATE"),
    Column("ID", rank=2, right=True),
    Column("ADDRESSES", rank=1, grows=True, least=16),
)
EVENTS = 12
"""How many of the newest are shown."""


def server_page(snapshot: Snapshot, name: str, width: int) -> list[Line]:
    """The page; one line says so if the inventory has no such server any more."""
    inventory, world = snapshot.inventory, snapshot.world
    if name not in inventory.servers:
        return [line(f"The inventory has no server {name} any more.")]
    wanted, seen = inventory.servers[name], world.servers.get(name, SeenServer())
    return [
        *_state(snapshot, name, seen),
        *_where(inventory, name, wanted),
        *_learned(wanted.learned, width),
        *_vms(world, name, width),
        *_events(snapshot, name),
    ]


def _fact(label: str, text: str, tone: Tone = "plain") -> Line:
    return line(f"{label:<{LABEL}}{text}", tone)


def _state(snapshot: Snapshot, name: str, seen: SeenServer) -> list[Line]:
    row = server_row(snapshot.inventory, snapshot.world, name)
    spans: list[tuple[str, Tone]] = [(f"{'state':<{LABEL}}", "plain")]
    for label, word in (("", seen.life), ("power ", seen.power), ("health ", seen.health)):
        spans += [(label, "plain"), (word, tone_of(word)), ("   ", "plain")]
    spans += [("node ", "plain"), (seen.node, tone_of(seen.node))]
    said = [*seen.reasons, *([row.note] if row.note and row.note not in seen.reasons else [])]
    return [Line(tuple(spans)), *(_complaint(text, row.ailing) for text in said)]


def _complaint(text: str, ailing: bool) -> Line:
    shown = line(" " * LABEL + text, "bad" if ailing else "plain")
    return Line(shown.spans, mark="!" if ailing else " ")


def _where(inventory: Inventory, name: str, wanted: Server) -> list[Line]:
    site = inventory.sites[wanted.site]
    unit = f", unit {wanted.unit}" if wanted.unit else ""
    until = f" until {site.donor.until}" if site.donor.until else ""
    bmc = wanted.bmc
    pin = f", pinned {bmc.fingerprint[:11]}.." if bmc.fingerprint else ""
    suite = f", cipher suite {bmc.cipher_suite}" if bmc.cipher_suite else ""
    return [
        _fact("where", f"{wanted.site}, rack {wanted.rack}{unit}: {site.place}"),
        _fact("donor", f"{site.donor.name}{until}, {site.donor.contact}"),
        _fact("host", f"{wanted.address}, profile {wanted.profile}, {_cluster(inventory, name)}"),
        _fact("BMC", f"{bmc.address} {bmc.protocol} as {bmc.user}{pin}{suite}"),
    ]


def _cluster(inventory: Inventory, name: str) -> str:
    cluster = inventory.cluster_of(name)
    return f"cluster {cluster}" if cluster else "in no cluster"


def _learned(learned: Learned | None, width: int) -> list[Line]:
    if learned is None:
        return [line(), line("Not enrolled yet: nothing is known of its hardware.", "faint")]
    machine = " ".join(filter(None, (learned.vendor, learned.model))) or "?"
    serial = f", serial {learned.serial}" if learned.serial else ""
    cores, threads = learned.cores or "?", learned.threads or "?"
    lines = [
        _fact("machine", f"{machine}{serial}"),
        _fact("CPU", f"{learned.cpu or '?'}, {cores} cores, {threads} threads"),
        _fact("memory", f"{learned.memory_gib or '?'} GiB"),
    ]
    lines += [
        _fact("" if number else "NICs", mac + (" (boots)" if not number else ""))
        for number, mac in enumerate(learned.macs)
    ]
    return lines + _drives(learned, width)


def _drives(learned: Learned, width: int) -> list[Line]:
    rows = [(d.name, f"{d.size_gib} GiB", d.media or "?", d.serial or "?") for d in learned.disks]
    if not rows:
        return []
    grid = fit(DRIVES, rows, width)
    return [line(), line(grid.header, "title"), *(line(grid.line(row)) for row in rows)]


def _vms(world: World, name: str, width: int) -> list[Line]:
    vms = {vm: seen for vm, seen in world.vms.items() if seen.server == name}
    if not vms:
        return [line(), line("No VM was seen on it.", "faint")]
    rows = [_vm(vm, seen) for vm, seen in sorted(vms.items())]
    grid = fit(VMS, rows, width)
    return [line(), line(grid.header, "title"), *(line(grid.line(row)) for row in rows)]


def _vm(name: str, seen: SeenVm) -> tuple[str, ...]:
    return (name, seen.state, str(seen.vmid), " ".join(seen.addresses))


def _events(snapshot: Snapshot, name: str) -> list[Line]:
    """What operations that claimed it said, newest first."""
    of_it = {o.id for o in snapshot.operations if name in o.servers}
    said = [e for e in snapshot.events if e.operation in of_it or e.subject == name][:EVENTS]
    if not said:
        return []
    lines = [line(f"{e.at.astimezone():%m-%d %H:%M:%S}  {e.text}") for e in said]
    return [line(), line("EVENTS, newest first", "title"), *lines]
