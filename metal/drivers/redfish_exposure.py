"""What a Redfish BMC offers to whoever reaches it. Asks only; what it does not tell stays None.

Sources: DSP2046, ManagerNetworkProtocol, Manager and ManagerAccount; the certificate is the one
the connection itself showed.
"""

from collections.abc import Iterator
from typing import Any

from metal.drivers.redfish_answer import Body, link
from metal.drivers.redfish_log import log_full
from metal.drivers.redfish_tree import Tree
from metal.model.findings import Exposure

DEFAULT_COMMUNITIES = ("public", "private")
CLIENTS = ("NTP", "DHCP", "DHCPv6", "Syslog")
"""Listed among the services too, though nobody can connect to them."""
ANONYMOUS = ("", "anonymous")
NOT_TOLD = "the BMC does not tell it over Redfish"
ONLY_IPMI = "only IPMI tells it"


def read_exposure(tree: Tree) -> Exposure:
    """Of the manager's network services, certificate, accounts, clock and log."""
    manager = tree.manager(tree.system())
    network = tree.linked(manager, "NetworkProtocol")
    services = _services(network)
    accounts = list(tree.parts(tree.linked(tree.root, "AccountService"), "Accounts"))
    session = tree.session
    found: dict[str, Any] = {
        "ipmi_lan": services.get("IPMI"),
        "anonymous": _anonymous(accounts),
        "snmp": services.get("SNMP"),
        "snmp_communities": _communities(tree, manager, network),
        "services": tuple(n.lower() for n, on in services.items() if on) if services else None,
        "certificate_expires": session.certificate_expires,
        "certificate_self_signed": session.certificate_self_signed,
        "password_change_required": _password_change(accounts, session.must_change),
        "clock": manager.get("DateTime") if isinstance(manager.get("DateTime"), str) else None,
        "log_full": log_full(tree),
    }
    unknown = dict.fromkeys(("cipher_suites", "auth_types"), ONLY_IPMI)
    unknown |= {key: NOT_TOLD for key, value in found.items() if value is None}
    return Exposure(unknown=unknown, **found)


def ipmi_is_off(tree: Tree) -> bool:
    """Newer HPE and Lenovo come with IPMI over LAN switched off (I13)."""
    manager = tree.manager(tree.system())
    return _services(tree.linked(manager, "NetworkProtocol")).get("IPMI") is False


def _services(network: Body) -> dict[str, bool]:
    """Name → whether it is open."""
    return {
        name: value["ProtocolEnabled"]
        for name, value in network.items()
        if name not in CLIENTS
        and isinstance(value, dict)
        and isinstance(value.get("ProtocolEnabled"), bool)
    }


def _anonymous(accounts: list[Body]) -> bool | None:
    """Somebody may log in without a name; a free slot is not enabled (R51)."""
    if not accounts:
        return None
    names = [str(a.get("UserName") or "").strip() for a in accounts if a.get("Enabled") is True]
    return any(name.lower() in ANONYMOUS for name in names)


def _communities(tree: Tree, manager: Body, network: Body) -> tuple[str, ...] | None:
    """The well-known ones among them, and none that somebody chose: those are secrets."""
    said = [*_standard(network.get("SNMP")), *_dell(tree, manager)]
    return tuple(name for name in DEFAULT_COMMUNITIES if name in said) if said else None


def _standard(snmp: Any) -> Iterator[str]:
    strings = snmp.get("CommunityStrings") if isinstance(snmp, dict) else None
    for string in strings if isinstance(strings, list) else []:
        if isinstance(string, dict) and string.get("CommunityString") is not None:
            yield str(string["CommunityString"])


def _dell(tree: Tree, manager: Body) -> Iterator[str]:
    """iDRACs have theirs among hundreds of attributes: one resource, found by its link."""
    links = manager.get("Links")
    oem = links.get("Oem") if isinstance(links, dict) else None
    dell = oem.get("Dell") if isinstance(oem, dict) else None
    listed = dell.get("DellAttributes") if isinstance(dell, dict) else None
    paths = [link(entry) or "" for entry in listed] if isinstance(listed, list) else []
    for body in tree.bodies(iter(p for p in paths if "/iDRAC." in p.rsplit("DellAttributes")[-1])):
        attributes = body.get("Attributes")
        community = (
            attributes.get("SNMP.1.AgentCommunity") if isinstance(attributes, dict) else None
        )
        if isinstance(community, str):
            yield community


def _password_change(accounts: list[Body], own: str | None) -> bool | None:
    if own is not None:
        return True
    said = [a.get("PasswordChangeRequired") for a in accounts if a.get("Enabled") is not False]
    known = [value for value in said if isinstance(value, bool)]
    return any(known) if known else None
