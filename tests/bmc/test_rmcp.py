"""Finding who speaks IPMI, against the double and against sockets that are no BMC."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from metal.drivers.rmcp import capabilities, ping_many
from metal.lab.ipmi_bmc import IpmiBmc
from metal.lab.machine import Machine


@pytest.fixture
def bmc(machine: Machine) -> Iterator[IpmiBmc]:
    double = IpmiBmc(machine, "127.0.0.1", 0, {"ADMIN": "factory-Pa55word"}).start()
    yield double
    double.stop()


@contextmanager
def answering(
    host: str, port: int, answers: dict[int, bytes], deaf_for: int = 0
) -> Iterator[tuple[int, list[int]]]:
    """(port, message classes that came): answers each class (6 ASF, 7 IPMI) with given bytes,
    after `deaf_for` datagrams."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    heard: list[int] = []
    with socket.socket(family, socket.SOCK_DGRAM) as udp:
        udp.bind((host, port))

        def serve() -> None:
            while datagram := (got := udp.recvfrom(1024))[0]:
                heard.append(datagram[3])
                if len(heard) > deaf_for and datagram[3] in answers:
                    udp.sendto(answers[datagram[3]], got[1])

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        number = udp.getsockname()[1]
        try:
            yield number, heard
        finally:
            with socket.socket(family, socket.SOCK_DGRAM) as end:
                end.sendto(b"", (host, number))
            thread.join(5)


PONG = bytes.fromhex("0600ff06000011be4000001000001 1be00000000810000000000 0000".replace(" ", ""))


def test_who_answers_is_named_and_who_does_not_is_not(bmc: IpmiBmc) -> None:
    hosts = ["127.0.0.1", "127.0.0.2", "localhost", "no such host."]
    assert ping_many(hosts, bmc.port, 0.3) == {"127.0.0.1", "localhost"}


def test_it_does_not_wait_once_all_have_answered(bmc: IpmiBmc) -> None:
    assert ping_many(["127.0.0.1"], bmc.port, 600) == {"127.0.0.1"}


def test_a_lost_datagram_is_sent_again() -> None:
    with answering("127.0.0.1", 0, {6: PONG}, deaf_for=2) as (port, heard):
        assert ping_many(["127.0.0.1"], port, 1.5) == {"127.0.0.1"}
        assert heard[:4] == [7, 6, 7, 6]


@pytest.mark.parametrize("kind", [6, 7])
def test_one_answer_of_the_two_is_enough(kind: int) -> None:
    with answering("127.0.0.1", 0, {kind: PONG}) as (port, _):
        assert ping_many(["127.0.0.1"], port, 2) == {"127.0.0.1"}


def test_what_is_no_rmcp_is_no_bmc() -> None:
    with answering("127.0.0.1", 0, {6: b"SSH-2.0-hello", 7: b"\x06"}) as (port, _):
        assert ping_many(["127.0.0.1"], port, 0.3) == frozenset()
        assert capabilities("127.0.0.1", port, 0.3) is None


def test_ipv6_and_ipv4_together(bmc: IpmiBmc) -> None:
    with answering("::1", bmc.port, {6: PONG}):
        assert ping_many(["::1", "127.0.0.1"], bmc.port, 2) == {"::1", "127.0.0.1"}


def test_a_whole_network_costs_one_wait(bmc: IpmiBmc) -> None:
    hosts = [f"127.0.{i}.{j}" for i in range(8) for j in range(1, 255)]
    assert ping_many(hosts, bmc.port, 0.6) == {"127.0.0.1"}


def test_capabilities_of_the_double(bmc: IpmiBmc) -> None:
    told = capabilities("127.0.0.1", bmc.port, 2)
    assert told is not None and told.version_2 and told.auth_types == ()
    assert not told.anonymous and not told.null_user
    assert bmc.failed_logins == 0


def test_capabilities_of_an_old_bmc_that_lets_everybody_in() -> None:
    """Answer of 22.13: none, md2, md5, password; anonymous and null users; no v2."""
    body = bytes.fromhex("811c63 200038 00 01 17 13 00 000000 00")
    answer = bytes.fromhex("0600ff07 00 00000000 00000000") + bytes([len(body)]) + body
    with answering("127.0.0.1", 0, {7: answer}) as (port, _):
        told = capabilities("127.0.0.1", port, 2)
    assert told is not None
    assert told.auth_types == ("none", "md2", "md5", "password")
    assert (told.anonymous, told.null_user, told.version_2) == (True, True, False)
