"""Verify a certificate of survival: `python check_certificate.py CERTIFICATE [WORLD]`.

On purpose it shares no code with what makes certificates and needs nothing but Python. Each
claim is counted anew: every VM of a lost server restarts on exactly one other, nobody is
promised more memory, vCPUs or CPU types than it has, replicas stay apart and sets together, none
waits without need, no failure is left out, and with a WORLD (`metal look -o json`) no VM is left
out either. Ends with 0 if all of it holds, else 1.
"""

import json
import sys
from collections.abc import Iterator
from typing import Any

Document = dict[str, Any]


def problems(certificate: Document, world: Document | None = None) -> Iterator[str]:
    """Every sentence that is wrong or not proven; none means verified."""
    if certificate.get("certificate") != 1:
        yield "not a certificate of version 1"
        return
    for name, cluster in certificate["clusters"].items():
        vms, servers = cluster["vms"], cluster["servers"]
        holders = set(servers) | {vm["server"] for vm in vms.values()}
        for missing in sorted(set(servers) - set(cluster["failures"])):
            yield f"{name}: nothing is said of the failure of {missing}"
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
    """VMs that were seen and that the certificate says nothing of."""
    proven = {vm: at for c in certificate["clusters"].values() for vm, at in c["vms"].items()}
    for vm, seen in world["vms"].items():
        if proven.get(vm, {}).get("server") != seen["server"]:
            yield f"{vm} runs on {seen['server']}, which the certificate does not say"
        elif (seen.get("memory_mib") or 0) > (proven[vm]["memory_mib"] or 0):
            yield f"{vm} has {seen['memory_mib']} MiB, more than the certificate says"


def main(files: list[str]) -> int:
    """0 verified, 1 not."""
    documents = []
    for file in files:
        with open(file, encoding="utf-8") as opened:  # noqa: PTH123
            documents.append(json.load(opened))
    found = list(problems(*documents))
    print("\n".join(found) or "verified: every single server may die")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:3]))
