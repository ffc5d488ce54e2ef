"""How servers without a good BMC are switched: what a driver needs is there, no secret is."""

import contextlib
from ipaddress import ip_address
from pathlib import Path as File

from metal.inventory.draft import Draft
from metal.inventory.mistakes import suggest
from metal.inventory.positions import Path
from metal.model.fleet import PowerAccess, Server

_NAMES = """
    alom amt apc apc_snmp aws azure_arm bladecenter cdu cisco_ucs cyberpower_ssh docker drac
    drac5 eaton_snmp ecloud emerson eps gce hds_cb hpblade ibm_powervs ibm_vpc ibmblade ibmz
    idrac ilo ilo2 ilo3 ilo3_ssh ilo4 ilo4_ssh ilo5 ilo5_ssh ilo_moonshot ilo_mp ilo_ssh imm
    intelmodular ipdu ipmilan ipmilanplus ironic kubevirt ldom lindypdu lpar netio openstack ovh
    powerman pve raritan raritan_px3 rcd_serial redfish rhevm rsa rsb skalar tripplite_snmp vbox
    virsh vmware vmware_rest vmware_soap vmware_vcloud wti xenapi zvmip"""
AGENTS = frozenset(f"fence_{name}" for name in _NAMES.split())
"""What Debian 12's fence-agents has for switching power."""
INSTALLED = File("/usr/sbin")
"""Where later ones are found, too."""
SECRETS = ("password", "passwd", "community", "snmp_priv_passwd")


def check_power(draft: Draft) -> None:
    taken: dict[tuple[str, str], str] = {}
    for name, server in draft.servers.items():
        path = ("servers", name, "power")
        _bmc(draft, name, server)
        if server.power.driver == "fence":
            for where, outlet in _outlets(path, server.power):
                _fence(draft, where, outlet)
        else:
            _unused(draft, path, server.power)
        _no_secret(draft, path, server.power.options, name)
        for number, one in enumerate(server.power.outlets):
            _no_secret(draft, (*path, "outlets", number), one.options, name)
        _taken(draft, path, server.power, name, taken)


def _bmc(draft: Draft, name: str, server: Server) -> None:
    """A server without a BMC says what switches it instead."""
    if server.has_bmc and not server.bmc.address:
        what = "`address` is missing: where its BMC answers"
        draft.at_key(("servers", name, "bmc"), what, 'add it, or say protocol = "none"')
    elif not server.has_bmc and server.power.driver == "bmc":
        what = "`bmc` is missing, and nothing else is named that switches it"
        mend = 'add bmc = { address = "…" }; without one, power = { driver = "manual" }'
        draft.at_key(("servers", name), what, mend)


def _outlets(path: Path, power: PowerAccess) -> list[tuple[Path, PowerAccess]]:
    """Where each stands, and all that it needs."""
    if not power.outlets:
        return [(path, power)]
    return [((*path, "outlets", number), one) for number, one in enumerate(power.each())]


def _taken(
    draft: Draft,
    path: Path,
    power: PowerAccess,
    name: str,
    taken: dict[tuple[str, str], str],
) -> None:
    """A plug feeds one power supply: whoever cuts it must not cut another server's."""
    for where, one in _outlets(path, power):
        for plug in filter(None, (p.strip() for p in (one.plug or "").split(","))):
            same = (_one_spelling(one.address), _one_spelling(plug))
            other = taken.get(same)
            if other == name:
                draft.at_key(where, f"plug {plug} is named twice", "name the other supply's")
            elif other is not None:
                what = f"plug {plug} of {one.address} is server `{other}`'s"
                draft.at_key(where, what, "look behind the rack: whose is it?")
            taken[same] = name


def _one_spelling(name: str | None) -> str:
    """Of an address, a host name or a plug that can be written in several ways."""
    with contextlib.suppress(ValueError):
        return str(ip_address(name or ""))
    plain = (name or "").lower().rstrip(".")
    return plain.lstrip("0") or plain


def _fence(draft: Draft, path: Path, power: PowerAccess) -> None:
    if power.agent is None:
        what = "`driver` says fence, and no agent is named"
        draft.at_key(path, what, 'add agent = "fence_apc_snmp", or whichever suits the PDU')
    elif power.agent not in AGENTS and not (INSTALLED / power.agent).exists():
        mend = suggest(power.agent, AGENTS, "fence agent")
        draft.at_value((*path, "agent"), f"there is no fence agent `{power.agent}`", mend)
    if power.address is None:
        what = "`driver` says fence, and no address is given"
        draft.at_key(path, what, 'add address = "…": where the PDU answers')


def _unused(draft: Draft, path: Path, power: PowerAccess) -> None:
    """Somebody who wrote an agent meant it to be used."""
    for key in ("agent", "address", "plug", "user", "outlets"):
        if getattr(power, key):
            what = f"`{key}` is of no use to driver {power.driver}"
            draft.at_value((*path, key), what, 'say driver = "fence", or remove it')


def _no_secret(draft: Draft, path: Path, options: dict[str, str], server: str) -> None:
    for key in options:
        if key.replace("-", "_") in SECRETS:
            what = f"`{key}` is a secret, and everybody reads this file"
            mend = f"remove it; `metal power password {server}` keeps it in escrow"
            draft.at_key((*path, "options", key), what, mend)
