"""A host's /etc/network/interfaces, for the ifupdown2 that Proxmox VE brings."""

from collections.abc import Iterator, Mapping, Sequence

from metal.model.links import BRIDGE, ROLES, Link, Place, Port, Role

HEAD = "rendered by metal from inventory.toml: what is changed here by hand is lost."


def host_ports(places: Mapping[Role, Place]) -> dict[Role, tuple[Port, ...]]:
    """Each role's interfaces, what one stands on before it. `places`: at least management's,
    which the VMs' bridge stands on."""
    found: dict[Role, tuple[Port, ...]] = {}
    bonds = 0
    for role in (role for role in ROLES if role in places):
        place = places[role]
        found[role] = tuple(_ports(role, place, f"bond{bonds}"))
        bonds += place.link.bond is not None
    return found


def _ports(role: Role, place: Place, bond: str) -> Iterator[Port]:
    link = place.link
    if link.bond:
        lowest = Port(name=bond, kind="bond", on=link.cards, mode=link.bond, mtu=link.mtu)
    else:
        lowest = Port(name=link.cards[0], kind="eth", mtu=link.mtu)
    stack = [lowest]
    if role == "management":
        stack.append(Port(name=BRIDGE, kind="bridge", on=(lowest.name,), mtu=link.mtu))
    if link.vlan is not None:
        on = stack[-1].name
        stack.append(Port(name=f"{on}.{link.vlan}", kind="vlan", on=(on,), mtu=link.mtu))
    own = {"address": place.address, "gateway": place.gateway}
    yield from (*stack[:-1], stack[-1].model_copy(update=own))


def render_host_interfaces(server: str, places: Mapping[Role, Place]) -> str:
    lines = [f"# {server}, {HEAD}", "", "auto lo", "iface lo inet loopback"]
    for role, ports in host_ports(places).items():
        link = places[role].link
        lines += ["", f"# {role}"]
        if link.bond:
            lines += [f"iface {card} inet manual" for card in link.cards] + [""]
        for port in ports:
            lines += [*_stanza(port, link), ""]
        lines.pop()
    return "\n".join([*lines, "", "source /etc/network/interfaces.d/*"]) + "\n"


def _stanza(port: Port, link: Link) -> Iterator[str]:
    yield f"auto {port.name}"
    if port.address is None:
        yield f"iface {port.name} inet manual"
    else:
        yield f"iface {port.name} {'inet' if port.address.version == 4 else 'inet6'} static"
        yield f"\taddress {port.address}"
        if port.gateway is not None:
            yield f"\tgateway {port.gateway}"
    yield from (f"\t{option}" for option in _options(port, link))
    if port.mtu is not None:
        yield f"\tmtu {port.mtu}"


def _options(port: Port, link: Link) -> Sequence[str]:
    if port.kind == "bridge":
        return (
            f"bridge-ports {port.on[0]}",
            "bridge-stp off",
            "bridge-fd 0",
            "bridge-vlan-aware yes",
            "bridge-vids 2-4094",
        )
    return tuple(_bond(link)) if port.kind == "bond" else ()


def _bond(link: Link) -> Iterator[str]:
    yield f"bond-slaves {' '.join(link.cards)}"
    yield "bond-miimon 100"
    yield f"bond-mode {link.bond}"
    if link.bond == "active-backup":
        yield f"bond-primary {link.cards[0]}"
    elif link.bond != "balance-alb":
        # By addresses and ports: one stream to one peer would else use one card only.
        yield "bond-xmit-hash-policy layer3+4"
