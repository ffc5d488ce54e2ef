"""How servers without a good BMC are switched: what a driver needs is there, no secret is."""

from pathlib import Path

from metal.inventory.draft import Draft
from metal.inventory.mistakes import suggest
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
INSTALLED = Path("/usr/sbin")
"""Where later ones are found, too."""
SECRETS = ("password", "passwd", "community", "snmp_priv_passwd")


def check_power(draft: Draft) -> None:
    for name, server in draft.servers.items():
        path = ("servers", name, "power")
        _bmc(draft, name, server)
        if server.power.driver == "fence":
            _fence(draft, path, server.power)
        else:
            _unused(draft, path, server.power)
        _no_secret(draft, path, server.power)


def _bmc(draft: Draft, name: str, server: Server) -> None:
    """A server without a BMC says what switches it instead."""
    if server.has_bmc and not server.bmc.address:
        what = "`address` is missing: where its BMC answers"
        draft.at_key(("servers", name, "bmc"), what, 'add it, or say protocol = "none"')
    elif not server.has_bmc and server.power.driver == "bmc":
        what = "`bmc` is missing, and nothing else is named that switches it"
        mend = 'add bmc = { address = "…" }; without one, power = { driver = "manual" }'
        draft.at_key(("servers", name), what, mend)


def _fence(draft: Draft, path: tuple[str, ...], power: PowerAccess) -> None:
    if power.agent is None:
        what = "`driver` says fence, and no agent is named"
        draft.at_key(path, what, 'add agent = "fence_apc_snmp", or whichever suits the PDU')
    elif power.agent not in AGENTS and not (INSTALLED / power.agent).exists():
        mend = suggest(power.agent, AGENTS, "fence agent")
        draft.at_value((*path, "agent"), f"there is no fence agent `{power.agent}`", mend)
    if power.address is None:
        what = "`driver` says fence, and no address is given"
        draft.at_key(path, what, 'add address = "…": where the PDU answers')


def _unused(draft: Draft, path: tuple[str, ...], power: PowerAccess) -> None:
    """Somebody who wrote an agent meant it to be used."""
    for key in ("agent", "address", "plug", "user"):
        if getattr(power, key) is not None:
            what = f"`{key}` is of no use to driver {power.driver}"
            draft.at_value((*path, key), what, 'say driver = "fence", or remove it')


def _no_secret(draft: Draft, path: tuple[str, ...], power: PowerAccess) -> None:
    for key in power.options:
        if key.replace("-", "_") in SECRETS:
            what = f"`{key}` is a secret, and everybody reads this file"
            mend = f"remove it; `metal power password {path[1]}` keeps it in escrow"
            draft.at_key((*path, "options", key), what, mend)
