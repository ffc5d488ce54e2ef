"""Which protocol a BMC is spoken to with."""

import socket
from collections.abc import Iterator

import pytest

from metal.drivers.bmc import connect
from metal.lab.ipmi_bmc import IpmiBmc
from metal.lab.machine import Machine
from metal.lab.redfish_bmc import RedfishBmc
from metal.model.errors import Refused, Unreachable
from metal.model.fleet import BmcAccess

FACTORY = ("root", "calvin-0")


@pytest.fixture
def ipmi_bmc(machine: Machine) -> Iterator[IpmiBmc]:
    bmc = IpmiBmc(machine, "127.0.0.1", 0, dict([FACTORY])).start()
    yield bmc
    bmc.stop()


def test_redfish_is_taken_where_there_is_one(redfish_bmc: RedfishBmc) -> None:
    bmc = connect(BmcAccess(address="127.0.0.1", port=redfish_bmc.port), *FACTORY, timeout=2)
    assert (bmc.protocol, bmc.fingerprint) == ("redfish", redfish_bmc.certificate.fingerprint)
    bmc.close()


def test_ipmi_where_there_is_none(ipmi_bmc: IpmiBmc) -> None:
    bmc = connect(BmcAccess(address="127.0.0.1", port=ipmi_bmc.port), *FACTORY, timeout=2)
    assert (bmc.protocol, bmc.cipher_suite, bmc.power()) == ("ipmi", 17, "off")
    bmc.close()


def test_a_changed_certificate_is_no_reason_to_fall_back(redfish_bmc: RedfishBmc) -> None:
    access = BmcAccess(
        address="127.0.0.1", port=redfish_bmc.port, fingerprint=":".join(["AB"] * 32)
    )
    with pytest.raises(Refused, match="certificate changed"):
        connect(access, *FACTORY, timeout=2)
    assert redfish_bmc.requests == 0


def test_nobody_there(redfish_bmc: RedfishBmc) -> None:
    redfish_bmc.stop()
    access = BmcAccess(address="127.0.0.1", port=redfish_bmc.port)
    with pytest.raises(Unreachable):
        connect(access, *FACTORY, timeout=1)


def test_a_service_without_servers_is_refused_as_what_it_is(redfish_bmc: RedfishBmc) -> None:
    """A PDU's root has no systems; that IPMI is silent there is not what is wrong."""
    links = {"PowerEquipment": {"@odata.id": "/redfish/v1/PowerEquipment"}}
    redfish_bmc.tree = {"/redfish/v1": {"RedfishVersion": "1.6.0", **links}}
    access = BmcAccess(address="127.0.0.1", port=redfish_bmc.port)
    bmc = connect(access, *FACTORY, timeout=1)
    with pytest.raises(Refused, match="it is a power distribution unit"):
        bmc.facts()
    bmc.close()
    assert redfish_bmc.failed_logins == 0


def test_systems_that_are_shown_to_users_alone_are_found(redfish_bmc: RedfishBmc) -> None:
    """A Cisco's root (R54)."""
    redfish_bmc.faults.add("rootless")
    bmc = connect(BmcAccess(address="127.0.0.1", port=redfish_bmc.port), *FACTORY, timeout=1)
    assert bmc.facts().serial
    bmc.close()


def test_a_port_that_takes_connections_and_says_nothing_is_told_from_a_closed_one() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        port = mute.getsockname()[1]
        with pytest.raises(Unreachable) as silent:
            connect(BmcAccess(address="127.0.0.1", port=port), "ADMIN", "x", timeout=0.5)
    with pytest.raises(Unreachable) as closed:
        connect(BmcAccess(address="127.0.0.1", port=port), "ADMIN", "x", timeout=0.5)
    assert f"no Redfish on TCP port {port} (no answer" in silent.value.what
    assert f"no Redfish on TCP port {port} (the connection broke" in closed.value.what
