"""What the inventory promises, as calls that must be answered: made from wishes, not from rules."""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from metal.lab.wires import probe
from metal.lab.wires.machine import Machine
from metal.lab.wires.topology import WORLD4, WORLD6, address_of
from metal.network.view import View

PROBE = Path(probe.__file__)


@dataclass(frozen=True)
class Call:
    """One that somebody makes."""

    address: str
    port: int
    protocol: str = "tcp"
    name: str = ""
    talk: str = "plain"


@dataclass(frozen=True)
class Promise:
    """Who answers a call, and by which address it knows the caller."""

    call: Call
    vm: str
    peer: str


def promises(views: Mapping[str, View]) -> list[Promise]:
    """Of every VM's every service, over IPv4 and IPv6."""
    return [p for seen in views.values() for vm in seen.vms for p in _of(seen, vm)]


def ask(machine: Machine, calls: Sequence[Call]) -> list[Any]:
    """What is answered to each; None for nothing."""
    script = json.dumps([asdict(call) for call in calls])
    return list(json.loads(machine.run(sys.executable, str(PROBE), stdin=script)))


def broken(machine: Machine, promised: Sequence[Promise]) -> list[str]:
    """Each promise that is not kept, in words."""
    answers = ask(machine, [p.call for p in promised])
    return list(_differences(zip(promised, answers, strict=True)))


def _differences(found: Iterable[tuple[Promise, Any]]) -> Iterator[str]:
    for promise, answer in found:
        call = promise.call
        to = f"{call.address} {call.protocol}/{call.port} {call.name}".rstrip()
        if answer is None:
            yield f"{to}: no answer, {promise.vm} should"
        elif answer["name"] != promise.vm:
            yield f"{to}: {answer['name']} answers, {promise.vm} should"
        elif promise.peer and answer["peer"] != promise.peer:
            yield f"{to}: {promise.vm} sees {answer['peer']} instead of {promise.peer}"


def _of(seen: View, vm: str) -> Iterator[Promise]:
    wanted, has = seen.inventory.vms[vm], seen.vms[vm]
    own = address_of(has.public_ipv4) if has.public_ipv4 else has.shared
    for service in wanted.serves:
        proxied = wanted.ipv4 == "proxy" and service.name is not None
        talk = ("web" if service.port == 80 else "tls") if proxied else "plain"
        name = service.name or ""
        for port in {service.port, service.last or service.port}:
            if wanted.ipv4 != "ipv6":
                assert own is not None
                # Who is behind a TLS proxy and not told has only the proxy's word.
                told = not proxied or talk == "web" or service.proxy_protocol
                call = Call(own, port, service.protocol, name, talk)
                yield Promise(call, vm, WORLD4 if told else "")
            for address in seen.addresses6(vm, routed=True):
                yield Promise(Call(str(address), port, service.protocol, name, talk), vm, WORLD6)
