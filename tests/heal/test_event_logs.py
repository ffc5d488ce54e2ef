"""What BMCs log, from the record in a real log to the VMs that leave: a watcher on a model of a
cluster, whose BMCs tell their logs through the real drivers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from heal_watched import MINUTE, SICK, Watched

from metal.controller.event_logs import SELDOM, UNHURRIED, EventLogs
from metal.controller.post import Post
from metal.controller.progress import silent
from metal.controller.releasing import release
from metal.drivers.ipmi import Ipmi
from metal.drivers.redfish import Redfish
from metal.heal.logged import STORM
from metal.lab.bench.bmcs import hardware
from metal.lab.ipmi_bmc import IpmiBmc
from metal.lab.machine import Machine
from metal.lab.redfish_bmc import RedfishBmc
from metal.lab.web import self_signed
from metal.model.errors import Unreachable
from metal.model.facts import LogMark, LogNews
from metal.model.life import Life
from metal.operations.owner import Owner

LOGIN = ("ADMIN", "factory-Pa55")
ECC, BAD = "DIMM 0: Correctable error", "DIMM 0: Uncorrectable error"


@pytest.fixture(params=["redfish", "ipmi"])
def watched(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Watched]:
    machine = Machine(SICK, hardware(1))
    double: Any
    driver: Any
    if request.param == "redfish":
        certificate = self_signed(tmp_path, "bmc", "127.0.0.1")
        double = RedfishBmc(machine, "127.0.0.1", 0, certificate, dict([LOGIN])).start()
        driver = Redfish("127.0.0.1", *LOGIN, port=double.port, timeout=5)
    else:
        double = IpmiBmc(machine, "127.0.0.1", 0, dict([LOGIN])).start()
        driver = Ipmi("127.0.0.1", *LOGIN, port=double.port, timeout=5)
    made = Watched(tmp_path, driver, machine)
    yield made
    made.watcher.close()
    made.store.close()
    driver.close()
    double.stop()


def test_an_ecc_storm_moves_the_vms_off_live(watched: Watched) -> None:
    watched.rounds(2)
    ran = watched.there()
    assert ran
    watched.log(ECC, STORM - 1)
    assert watched.rounds(MINUTE).diagnoses[SICK].state == "healthy"
    watched.log(ECC)
    diagnosis = watched.rounds(MINUTE).diagnoses[SICK]
    assert (diagnosis.state, diagnosis.signs) == ("degrading", ("memory",))
    assert any(f"{STORM} correctable memory errors" in said for said in diagnosis.evidence)
    watched.rounds(MINUTE)
    assert watched.there() == set() and set(watched.moved()) == ran
    assert watched.store.servers.get(SICK).life is Life.DRAINING


def test_it_takes_part_again_once_it_was_quiet_for_two_hours(watched: Watched) -> None:
    watched.rounds(2)
    watched.log(ECC, STORM)
    watched.rounds(2 * MINUTE)
    assert watched.store.servers.get(SICK).life is Life.DRAINING
    watched.rack.leap(3600)
    assert watched.rounds(2).diagnoses[SICK].state == "healthy"
    watched.rack.leap(3600)
    watched.rounds(2)
    assert watched.store.servers.get(SICK).life is Life.MEMBER


def test_what_was_logged_before_the_first_look_is_history(watched: Watched) -> None:
    watched.log(BAD, 30)
    watched.log(ECC, 4970)
    assert watched.rounds(3 * MINUTE).diagnoses[SICK].state == "healthy"
    assert watched.moved() == []


def test_so_is_what_was_logged_while_nobody_watched(watched: Watched) -> None:
    watched.rounds(2)
    watched.watcher.close()
    watched.log(BAD, 30)
    watched.begin()
    assert watched.rounds(2 * MINUTE).diagnoses[SICK].state == "healthy"


def test_what_was_read_still_counts_for_the_next_watcher(watched: Watched) -> None:
    watched.rounds(2)
    watched.log(BAD)
    watched.rounds(MINUTE)
    watched.watcher.close()
    watched.begin()
    diagnosis = watched.rounds(2).diagnoses[SICK]
    assert (diagnosis.state, diagnosis.signs) == ("degrading", ("memory",))


def test_who_releases_it_takes_it_as_it_is(watched: Watched) -> None:
    watched.rounds(2)
    watched.log(BAD)
    watched.rounds(2 * MINUTE)
    release(watched.workspace, SICK, progress=silent)
    assert watched.rounds(2 * MINUTE).diagnoses[SICK].state == "healthy"
    assert watched.store.servers.get(SICK).life is Life.MEMBER
    watched.log(BAD)
    assert watched.rounds(MINUTE).diagnoses[SICK].signs == ("memory",), "what is new counts again"


def test_what_was_logged_while_another_led_is_its_business(watched: Watched) -> None:
    watched.rounds(2)
    leading = watched.store.leading
    assert watched.post.term
    leading.resign(watched.post.term)
    other = Post(watched.store, "there", 3600.0, Owner("there", "there", "pid:[1]", 2, 2))
    other.seek()
    assert watched.rounds(2).leader == "there"
    watched.log(BAD)
    assert other.term
    leading.resign(other.term)
    assert watched.rounds(MINUTE).diagnoses[SICK].state == "healthy"


def test_a_log_that_cannot_be_read_is_no_reason_for_anything(watched: Watched) -> None:
    class Mute:
        def log_news(self, mark: LogMark | None) -> LogNews:
            raise Unreachable("timed out", where="BMC")

    watched.driver = Mute()
    report = watched.rounds(MINUTE)
    assert report.diagnoses[SICK].state == "healthy" and not report.diagnoses[SICK].mute


class Counted:
    """A log in which something new stands whenever it is read."""

    times = 0

    def log_news(self, mark: LogMark | None) -> LogNews:
        self.times += 1
        return LogNews(mark=LogMark(count=self.times))


def test_a_log_is_read_once_a_minute_and_not_where_the_bmc_is_slow(watched: Watched) -> None:
    now, bmc = 0.0, Counted()
    logs = EventLogs(watched.store, lambda: now)
    read: Any = logs.read
    read(SICK, bmc, UNHURRIED + 1)
    assert bmc.times == 0
    for second in range(0, 600, 10):
        now = float(second)
        read(SICK, bmc, 0.1)
    assert 600 / SELDOM <= bmc.times <= 600 / (SELDOM / 2)


def test_a_bmc_without_a_log_is_not_asked_for_it_again(watched: Watched) -> None:
    class Without(Counted):
        def log_news(self, mark: LogMark | None) -> LogNews:
            super().log_news(mark)
            return LogNews()

    now, bmc = 0.0, Without()
    logs = EventLogs(watched.store, lambda: now)
    read: Any = logs.read
    for _ in range(5):
        now += 2 * SELDOM
        read(SICK, bmc)
    assert bmc.times == 1
