"""Verify a certificate of survival: `python check_certificate.py CERTIFICATE [WORLD]`.

On purpose it shares no code with what makes certificates and needs nothing but Python. Each
claim is counted anew: every VM of a lost server restarts on exactly one other, nobody is
promised more memory, vCPUs or CPU types than it has, replicas stay apart and sets together, none
waits without need, no failure is left out, and with a WORLD (`metal look -o json`) no VM is left
out either, nor made smaller, and no server invented. What servers have, what VMs wish and whether
disks are shared is taken as it is told; a value that is not of its kind is refused, and with it
all.
Ends with 0 if all of it holds, else 1.
"""

import json
import sys
from collections.abc import Iterator
from typing import Any

Document = dict[str, Any]


def problems(certificate: Document, world: Document | None = None) -> Iterator[str]:
    """Every sentence that is wrong or not proven; none means verified."""
    if not isinstance(certificate, dict) or certificate.get("certificate") != 1:
        yield "not a certificate of version 1"
        return
    if misshapen := list(misshaped(certificate)):
        yield from misshapen
        return
    said = [vm for cluster in certificate["clusters"].values() for vm in cluster["vms"]]
    for vm in sorted({vm for vm in said if said.count(vm) > 1}):
        yield f"{vm} is in several clusters"
    for name, cluster in certificate["clusters"].items():
        vms, servers = cluster["vms"], cluster["servers"]
        holders = set(servers) | {vm["server"] for vm in vms.values()}
        for missing in sorted((set(servers) or holders) - set(cluster["failures"])):
            yield f"{name}: nothing is said of the failure of {missing}"
        if cluster["members"] < len(servers):
            yield f"{name}: has {len(servers)} servers, and {cluster['members']} members"
        for dead, failure in cluster["failures"].items():
            verdict = failure["verdict"]
            if verdict == "alone" and (len(holders) <= 1 or not cluster["shared"]):
                continue
            if verdict != "survivable":
                why = failure["why"] or verdict
                yield f"{name}: the failure of {dead} is not survivable: {why}"
                continue
            if failure["restarts"] and not cluster["shared"]:
                yield f"{name}: no other server has the disks of {dead}"
            left, members = len(set(servers) - {dead}), cluster["members"]
            if members > 2 and 2 * left <= members:
                yield f"{name}: after the failure of {dead}, {left} of {members} have no quorum"
            for what in broken(dead, vms, servers, failure["restarts"], failure["waits"]):
                yield f"{name}: after the failure of {dead}, {what}"
    if world is not None:
        yield from left_out(certificate, world)


def broken(
    dead: str, vms: Document, servers: Document, restarts: Document, waits: list[str]
) -> Iterator[str]:
    """What is wrong in one restart plan."""
    alive = set(servers) - {dead}
    lost = {vm for vm, at in vms.items() if at["server"] not in alive}
    for vm in sorted(set(restarts) & set(waits)):
        yield f"{vm} cannot both restart and wait"
    for vm in sorted(lost ^ (set(restarts) | set(waits))):
        yield f"{vm} {'has no place' if vm in lost else 'is moved but was not lost'}"
    homes = {vm: restarts.get(vm) if vm in lost else at["server"] for vm, at in vms.items()}
    yield from wishes(alive, lost, vms, servers, homes, waits)
    for server in sorted(alive):
        here = [vms[vm] for vm, home in homes.items() if home == server]
        came = any(restarts.get(vm) == server for vm in lost)
        for key, what in (("memory_mib", "MiB"), ("vcpus", "vCPUs")):
            needed = [vm[key] for vm in here]
            has = servers[server][key]
            if came and (has is None or None in needed):
                yield f"nobody knows whether {server} has the {what}"
            elif came and sum(needed) > has:
                yield f"{server} is promised {sum(needed)} {what} and has {has}"
        groups = [vm["apart"] for vm in here if vm["apart"]]
        fresh = {vms[vm]["apart"] for vm in lost if restarts.get(vm) == server}
        for group in sorted({g for g in groups if groups.count(g) > 1 and g in fresh}):
            yield f"replicas of {group} share {server}"
    for vm in sorted(lost):
        if vm in restarts and restarts[vm] not in alive:
            yield f"{vm} restarts on {restarts[vm]}, which is not there"


def wishes(
    alive: set[str],
    lost: set[str],
    vms: Document,
    servers: Document,
    homes: Document,
    waits: list[str],
) -> Iterator[str]:
    """Sets that part, processors that do not suit, replicas that wait without need."""
    for vm in sorted(lost):
        together = {o for o in lost if vms[vm]["together"] == vms[o]["together"] is not None} | {vm}
        for other in sorted(o for o in together if o > vm and homes[o] != homes[vm]):
            yield f"{vm} does not stay together with {other}"
        if vm in waits:
            groups = {vms[o]["apart"] for o in together} - {None}
            held = [{homes[o] for o in vms if vms[o]["apart"] == group} for group in groups]
            if not alive or not any(alive <= on for on in held):
                yield f"{vm} waits, but not every other server runs a replica of it"
            continue
        wanted, told = vms[vm]["cpu"], servers.get(homes[vm], {}).get("cpus")
        if (wanted is None and told is None) or wanted == "host":
            continue
        if (wanted or "x86-64-v2-AES") not in (told or ()):
            yield f"{vm} does not get the processor it needs on {homes[vm]}"


def left_out(certificate: Document, world: Document) -> Iterator[str]:
    """What was seen and the certificate does not say, or says to be more than it is."""
    clusters = certificate["clusters"]
    proven = {vm: (name, at) for name, c in clusters.items() for vm, at in c["vms"].items()}
    for vm, seen in world["vms"].items():
        if seen.get("kind") == "template":  # it never runs
            continue
        where, at = proven.get(vm, ("", {}))
        if (where, at.get("server")) != (seen["cluster"], seen["server"]):
            yield f"{vm} runs on {seen['server']}, which the certificate does not say"
            continue
        for key, what in (("memory_mib", "MiB"), ("vcpus", "vCPUs")):
            if (seen.get(key) or 0) > (at[key] or 0):
                yield f"{vm} has {seen[key]} {what}, more than the certificate says"
    for name, cluster in clusters.items():
        nodes = world["clusters"].get(name, {}).get("nodes") or cluster["servers"]
        for server in cluster["servers"]:
            if world["servers"].get(server, {}).get("node") != "online" or server not in nodes:
                yield f"{name}: {server} was not seen to be online in it"
        if cluster["members"] < len(nodes):
            yield f"{name}: has {len(nodes)} nodes, more than the certificate says"


FIGURE, NAME = "a figure or null", "a name"
SHAPES = {
    "memory_mib": FIGURE,
    "vcpus": FIGURE,
    "members": FIGURE,
    "server": NAME,
    "verdict": NAME,
}


def misshaped(certificate: Document) -> Iterator[str]:
    """Values that are not what they stand for: no sum is made with those."""
    for name, cluster in certificate["clusters"].items():
        if cluster["shared"] not in (True, False) or cluster["members"] is None:
            yield f"{name}: `shared` and `members` must be told"
        for kind in ("servers", "vms", "failures"):
            for one, told in cluster[kind].items():
                yield from (f"{name}: {kind}.{one}: {w}" for w in unlike(told))
        yield from (f"{name}: {w}" for w in unlike({"members": cluster["members"]}))


def unlike(told: Document) -> Iterator[str]:
    """Keys of it that do not hold what their name says."""
    for key, shape in SHAPES.items():
        value = told.get(key)
        figure = value is None or (type(value) is int and value >= 0)
        if key in told and not (figure if shape is FIGURE else isinstance(value, str)):
            yield f"{key} is {value!r}, not {shape}"


def once(pairs: list[tuple[str, Any]]) -> Document:
    """An object of JSON; whoever reads a name that is there twice may take either."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError(f"a name stands there twice, among {', '.join(sorted(found))}")
    return found


def main(files: list[str]) -> int:
    """0 verified, 1 not."""
    documents = []
    for file in files:
        with open(file, encoding="utf-8") as opened:  # noqa: PTH123
            documents.append(json.load(opened, object_pairs_hook=once))
    found = list(problems(*documents))
    print("\n".join(found) or "verified: every single server may die")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:3]))
