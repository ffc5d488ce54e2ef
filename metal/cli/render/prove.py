"""A proof as people read it: cluster by cluster, failure by failure, VM by VM."""

from metal.cli.render.hang import hanging
from metal.model.certificate import Certificate, Failure, ProvenCluster
from metal.model.plan import count
from metal.schedule.withdraw import Relocation

INDENT = "  "


def proof_lines(certificate: Certificate, width: int = 80) -> list[str]:
    lines: list[str] = []
    for name, cluster in certificate.clusters.items():
        lines.append(f"{name}: {count(len(cluster.vms), 'VM')} on {', '.join(cluster.servers)}")
        for dead, failure in cluster.failures.items():
            lines += failure_lines(dead, failure, width)
        lines.append("")
    bad = [d for c in certificate.clusters.values() for d, f in c.failures.items() if _bad(f)]
    if bad:
        return [*lines, *hanging("", f"Not proven for {', '.join(bad)}.", width)]
    wait = sum(len(f.waits) for c in certificate.clusters.values() for f in _alone_of(c))
    but = f" {count(wait, 'VM')} without a replica would wait for its server." if wait else ""
    return [*lines, *hanging("", f"Proven: every single server may die.{but}", width)]


def failure_lines(dead: str, failure: Failure, width: int) -> list[str]:
    """One failure: where each VM restarts, or what stands in the way and what would mend it."""
    lead = f"{INDENT}if {dead} dies: "
    match failure.verdict:
        case "survivable":
            homes: dict[str, list[str]] = {}
            for vm, server in failure.restarts.items():
                homes.setdefault(server, []).append(vm)
            said = "; ".join(f"{', '.join(vms)} → {server}" for server, vms in homes.items())
            if failure.waits:
                names = ", ".join(failure.waits)
                said = f"{said}; {names} wait" + ("s" if len(failure.waits) == 1 else "")
                said = f"{said} for it, with a replica on each other server".removeprefix("; ")
            return hanging(lead, said or "it runs nothing", width, under=6)
        case "alone":
            return hanging(lead, _alone(failure), width, under=6)
        case _:
            said = "NOT SURVIVABLE" if failure.verdict == "not" else "NOT KNOWN"
            lines = hanging(lead, f"{said}: {failure.why}", width, under=6)
            for mend in failure.mends:
                lines += hanging("      → ", mend, width)
            return lines


def _alone(failure: Failure) -> str:
    names = ", ".join(failure.waits)
    wait = f"{names} wait{'' if len(failure.waits) > 1 else 's'} until it is back or restored"
    return f"{failure.why}: {wait if names else 'what it runs has replicas elsewhere'}"


def _alone_of(cluster: ProvenCluster) -> list[Failure]:
    return [f for f in cluster.failures.values() if f.verdict == "alone"]


def _bad(failure: Failure) -> bool:
    return failure.verdict not in ("survivable", "alone")


def relocation_lines(found: Relocation, width: int = 80) -> list[str]:
    """Where the VMs of a site go, and what cannot go."""
    lines = [f"without {found.site}: {count(len(found.homes), 'VM')} find a place elsewhere"]
    homes: dict[tuple[str, str], list[str]] = {}
    for vm, at in found.homes.items():
        homes.setdefault(at, []).append(vm)
    for (cluster, server), vms in sorted(homes.items()):
        lines += hanging(f"{INDENT}{server} ({cluster}): ", ", ".join(vms), width, under=6)
    for left in found.stranded:
        lines += hanging(f"{INDENT}NOWHERE: ", f"{left.vm}: {left.why}", width, under=6)
        lines += hanging("      → ", left.mend, width)
    if found.unpinned:
        text = f"pinned there, and planned for without the pin: {', '.join(found.unpinned)}"
        lines += hanging(INDENT, text, width, under=6)
    if found.unmanaged:
        text = f"not in the inventory, so nobody planned for them: {', '.join(found.unmanaged)}"
        lines += hanging(INDENT, text, width, under=6)
    return lines
