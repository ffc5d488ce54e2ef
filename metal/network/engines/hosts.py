"""A host's /etc/network/interfaces, for the ifupdown2 that Proxmox VE brings."""

from collections.abc import Iterator, Mapping, Sequence

from metal.model.links import BRIDGE, ROLES, Link, Place, Role

HEAD = "rendered by metal from inventory.toml: what is changed here by hand is lost."


def render_host_interfaces(server: str, places: Mapping[Role, Place]) -> str:
    """`places`: at least management's, which the VMs' bridge stands on."""
    lines = [f"# {server}, {HEAD}", "", "auto lo", "iface lo inet loopback"]
    bonds = 0
    for role in ROLES:
        if role not in places:
            continue
        place = places[role]
        lines += ["", f"# {role}"]
        port, options = place.link.cards[0], _mtu(place.link)
        if place.link.bond:
            port, bonds = f"bond{bonds}", bonds + 1
            lines += [f"iface {card} inet manual" for card in place.link.cards] + [""]
            options = [*_bond(place.link), *options]
        lines += (
            _bridge(place, port, options) if role == "management" else _own(place, port, options)
        )
    return "\n".join([*lines, "", "source /etc/network/interfaces.d/*"]) + "\n"


def _bond(link: Link) -> Iterator[str]:
    yield f"\tbond-slaves {' '.join(link.cards)}"
    yield "\tbond-miimon 100"
    yield f"\tbond-mode {link.bond}"
    if link.bond == "active-backup":
        yield f"\tbond-primary {link.cards[0]}"
    elif link.bond != "balance-alb":
        # By addresses and ports: one stream to one peer would else use one card only.
        yield "\tbond-xmit-hash-policy layer3+4"


def _bridge(place: Place, port: str, options: Sequence[str]) -> Iterator[str]:
    """The VMs' bridge stands on the port; the host's own address is on the bridge."""
    yield from _stanza(port, None, options)
    yield ""
    bridge = [
        f"\tbridge-ports {port}",
        "\tbridge-stp off",
        "\tbridge-fd 0",
        "\tbridge-vlan-aware yes",
        "\tbridge-vids 2-4094",
        *_mtu(place.link),
    ]
    yield from _own(place, BRIDGE, bridge)


def _own(place: Place, name: str, options: Sequence[str]) -> Iterator[str]:
    """The host's address on the interface, or on its VLAN."""
    if place.link.vlan is None:
        yield from _stanza(name, place, options)
        return
    yield from _stanza(name, None, options)
    yield ""
    yield from _stanza(f"{name}.{place.link.vlan}", place, _mtu(place.link))


def _stanza(name: str, place: Place | None, options: Sequence[str]) -> Iterator[str]:
    yield f"auto {name}"
    if place is None:
        yield f"iface {name} inet manual"
    else:
        yield f"iface {name} {'inet' if place.address.version == 4 else 'inet6'} static"
        yield f"\taddress {place.address}"
        if place.gateway is not None:
            yield f"\tgateway {place.gateway}"
    yield from options


def _mtu(link: Link) -> list[str]:
    return [] if link.mtu is None else [f"\tmtu {link.mtu}"]
