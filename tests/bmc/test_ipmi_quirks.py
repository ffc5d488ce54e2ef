"""What IPMI BMCs do wrong (docs/bmc-quirks.md, rows I…): each against the double that does it."""

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from metal.drivers.ipmi import Ipmi
from metal.lab.ipmi_bmc import IpmiBmc
from metal.lab.ipmi_faults import FAULTS
from metal.lab.ipmi_wire import NoAnswer
from metal.lab.machine import Machine
from metal.model.errors import Failed, Refused, Unreachable
from metal.model.facts import BootDevice, BootMode, BootOnce, LogEntry

FACTORY = ("ADMIN", "factory-Pa55word")
Open = Callable[..., Ipmi]


@pytest.fixture
def bmc(machine: Machine) -> Iterator[IpmiBmc]:
    double = IpmiBmc(machine, "127.0.0.1", 0, dict([FACTORY])).start()
    yield double
    double.stop()


@pytest.fixture
def open_ipmi(bmc: IpmiBmc) -> Iterator[Open]:
    opened: list[Ipmi] = []

    def open_(*faults: str, **kwargs: Any) -> Ipmi:
        assert set(faults) <= set(FAULTS)
        bmc.faults.update(faults)
        given: dict[str, Any] = {"port": bmc.port, "timeout": 3, "settle": 1} | kwargs
        opened.append(Ipmi("127.0.0.1", *FACTORY, **given))
        return opened[-1]

    yield open_
    for driver in opened:
        driver.close()
    assert bmc.open_sessions == 0


# ── I04, I10, IPMI 1.5 ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("fault", ["operator-only", "operator-role"])
def test_i04_as_operator_where_nobody_is_administrator(
    open_ipmi: Open, bmc: IpmiBmc, fault: str
) -> None:
    driver = open_ipmi(fault)
    driver.ensure_power("on")
    assert (driver.power(), bmc.failed_logins) == ("on", 0)


def test_i10_a_bmc_without_a_session_left_is_worth_a_retry(open_ipmi: Open) -> None:
    with pytest.raises(Unreachable, match="no session left"):
        open_ipmi("sessions-full")


def test_ipmi_1_5_is_said_as_such(open_ipmi: Open) -> None:
    with pytest.raises(Failed, match=r"IPMI 1\.5 only"):
        open_ipmi("ipmi-1.5")


# ── I05 to I09: passwords and boot flags ─────────────────────────────────────────────────────


def test_i05_a_password_that_is_cut_is_never_set(open_ipmi: Open, bmc: IpmiBmc) -> None:
    driver = open_ipmi("password-cut")
    with pytest.raises(Refused, match="longer than 16"):
        driver.ensure_account("metal", "N3w-password-17by")
    driver.ensure_account("metal", "N3w-password-16b")
    assert bmc.works("metal", "N3w-password-16b")


@pytest.mark.parametrize("device", ["network", "media", "disk"])
@pytest.mark.parametrize("mode", ["bios", "uefi"])
def test_every_device_in_both_modes(
    open_ipmi: Open, machine: Machine, device: BootDevice, mode: BootMode
) -> None:
    driver = open_ipmi()
    assert driver.boot_once() is None
    wanted = BootOnce(device=device, mode=mode)
    assert driver.ensure_boot_once(device, mode) == driver.boot_once() == wanted
    assert (machine.boot_once, machine.boot_mode) == (device, mode)
    driver.ensure_power("on")
    assert driver.boot_once() is None
    driver.ensure_boot_once(device, mode)
    driver.ensure_usual_boot()
    assert machine.boot_once is None and driver.boot_once() is None


def test_http_and_media_are_refused_with_a_way_out(open_ipmi: Open) -> None:
    driver = open_ipmi()
    with pytest.raises(Refused, match="HTTP boot") as caught:
        driver.ensure_boot_once("http")
    assert "PXE" in caught.value.mend
    with pytest.raises(Refused, match="no virtual drive"):
        driver.ensure_media("http://192.0.2.1/x.iso")
    driver.ensure_no_media()


def test_i08_the_valid_bit_decides_and_is_set_first(open_ipmi: Open, machine: Machine) -> None:
    driver = open_ipmi("stale-boot-flag")
    assert driver.ensure_boot_once("network").device == "network"
    assert machine.boot_once == "network"


def test_i08_a_device_that_never_gets_valid_is_no_success(open_ipmi: Open) -> None:
    driver = open_ipmi("never-valid")
    with pytest.raises(Failed, match="not valid"):
        driver.ensure_boot_once("network")
    assert driver.boot_once() is None


def test_i09_another_device_than_asked_is_named(open_ipmi: Open) -> None:
    with pytest.raises(Failed, match="it shows the disk"):
        open_ipmi("boots-another").ensure_boot_once("network")


def test_a_mode_that_is_dropped_fails_only_who_asked_for_it(open_ipmi: Open) -> None:
    driver = open_ipmi("legacy-only")
    assert driver.ensure_boot_once("network") == BootOnce(device="network", mode="bios")
    with pytest.raises(Failed, match="it shows bios"):
        driver.ensure_boot_once("network", "uefi")


# ── Accounts and exposure: I03, I06, I20 ─────────────────────────────────────────────────────


def test_accounts(open_ipmi: Open) -> None:
    driver = open_ipmi()
    driver.ensure_account("metal", "N3w-password-16b")
    driver.ensure_locked_out("ADMIN")
    told = [(a.name, a.enabled, a.role, a.id) for a in driver.accounts()]
    assert told == [
        ("ADMIN", False, "Administrator", "2"),
        ("metal", True, "Administrator", "3"),
    ]


def test_a_tidy_bmc_exposes_little(open_ipmi: Open, bmc: IpmiBmc) -> None:
    told = open_ipmi().exposure()
    assert (told.ipmi_lan, told.cipher_suites, told.auth_types) == (True, (17,), ())
    assert (told.anonymous, told.log_full) == (False, False)
    assert told.snmp_communities == ("public",)
    assert told.clock is not None and told.clock > "2026"
    assert told.snmp is None and told.unknown["snmp"]
    assert {k for k, v in told if v is None} == set(told.unknown)
    assert bmc.failed_logins == 0


def test_i06_cipher_0_and_auth_none_and_null_users_are_seen(open_ipmi: Open) -> None:
    driver = open_ipmi("cipher-0", "auth-none", "null-user")
    told = driver.exposure()
    assert told.cipher_suites == (0, 17)
    assert told.auth_types == ("none",)
    assert told.anonymous is True
    assert [a.name for a in driver.accounts()] == ["", "ADMIN"]


def test_i06_a_null_user_that_no_list_shows_is_seen(open_ipmi: Open) -> None:
    driver = open_ipmi("null-user-unlisted")
    assert driver.exposure().anonymous is True
    assert [a.name for a in driver.accounts()] == ["ADMIN"]


def test_i06_a_cipher_0_that_nobody_may_use_is_none(open_ipmi: Open) -> None:
    assert open_ipmi("cipher-0-unused").exposure().cipher_suites == (17,)


def test_i03_without_a_list_of_suites_the_settings_tell_them(open_ipmi: Open) -> None:
    driver = open_ipmi("no-cipher-list", "cipher-0")
    assert driver.cipher_suite == 17
    assert driver.exposure().cipher_suites == (0, 17)


def test_i20_a_full_log_and_a_clock_of_1970(open_ipmi: Open) -> None:
    told = open_ipmi("log-full", "clock-1970").exposure()
    assert told.log_full is True
    assert told.clock == "1970-01-01T00:00:42+00:00"


# ── The log ──────────────────────────────────────────────────────────────────────────────────


def _events(count: int) -> list[LogEntry]:
    return [
        LogEntry(at=f"2026-01-01T{i // 60 % 24:02}:{i % 60:02}:00+00:00", severity="ok", text="")
        for i in range(count)
    ]


def test_the_log_oldest_first_and_without_the_times_of_an_unset_clock(
    open_ipmi: Open, machine: Machine
) -> None:
    driver = open_ipmi()
    assert driver.log() == ()
    machine.events = [
        LogEntry(at=None, severity="ok", text=""),
        LogEntry(at="2026-03-01T12:00:00+00:00", severity="critical", text=""),
        LogEntry(at="2026-03-02T12:00:00+00:00", severity="warning", text=""),
    ]
    told = driver.log()
    assert [(e.at, e.severity) for e in told] == [(e.at, e.severity) for e in machine.events]
    assert told[1].text == "System: Critical"


def test_of_a_long_log_the_end(open_ipmi: Open, machine: Machine) -> None:
    driver = open_ipmi()
    machine.events = _events(1100)
    told = driver.log()
    assert [e.at for e in told] == [e.at for e in machine.events[-1000:]]


def test_the_log_is_emptied_and_waited_for(open_ipmi: Open, machine: Machine, bmc: IpmiBmc) -> None:
    driver = open_ipmi("log-full", "reservation-lost")
    machine.events = _events(3)
    driver.ensure_log_empty()
    driver.ensure_log_empty()
    assert (machine.events, bmc.sel.erased, driver.exposure().log_full) == ([], 1, False)


def test_a_log_that_stays_is_no_success(open_ipmi: Open, machine: Machine) -> None:
    driver = open_ipmi("clear-ignored")
    machine.events = _events(3)
    with pytest.raises(Failed, match="still has 3 entries"):
        driver.ensure_log_empty()


# ── Power ────────────────────────────────────────────────────────────────────────────────────


def test_cycle_and_shut_down(open_ipmi: Open, machine: Machine, bmc: IpmiBmc) -> None:
    driver = open_ipmi(settle=0.1)
    driver.cycle()
    driver.cycle()
    assert (machine.power, machine.power_ons) == ("on", 2)
    bmc.faults.add("reset-ignored")
    with pytest.raises(Failed, match="did not shut down"):
        driver.ensure_shut_down()
    bmc.faults.clear()
    driver.ensure_shut_down()
    driver.ensure_shut_down()
    assert machine.power == "off" and driver.nodes() == ("",)


# ── Facts: I14 to I19 ────────────────────────────────────────────────────────────────────────────


def test_i16_a_broken_fru_leaves_the_rest(open_ipmi: Open) -> None:
    told = open_ipmi("broken-fru").facts()
    assert told.serial == "8XKQ2L2"  # its chassis area is whole
    assert told.model is None and "broken" in told.unknown["model"]
    assert told.bmc_firmware == "2.83" and told.psus


def test_i16_bytes_that_are_no_text_are_survived(open_ipmi: Open) -> None:
    told = open_ipmi("odd-fru").facts()
    assert (told.model, told.serial) == ("PowerEdge R630", "8XKQ2L2")


def test_i16_a_fru_that_is_given_in_small_pieces(open_ipmi: Open) -> None:
    told = open_ipmi("small-fru").facts()
    assert (told.model, told.serial) == ("PowerEdge R630", "8XKQ2L2")


def test_i16_a_fru_that_times_out_leaves_the_rest(open_ipmi: Open) -> None:
    driver = open_ipmi("silent-fru", timeout=1)
    told = driver.facts()
    assert (told.model, told.serial, told.vendor) == (None, None, "Dell")
    assert "did not answer in time" in told.unknown["serial"]
    assert (told.bmc_firmware, told.uuid is not None, len(told.psus or ())) == ("2.83", True, 2)
    assert driver.power() == "off"  # in the same session


def test_i16_sensors_that_time_out_leave_the_rest(open_ipmi: Open) -> None:
    told = open_ipmi("silent-sensors", timeout=1).facts()
    assert (told.psus, told.serial, told.health) == (None, "8XKQ2L2", "unknown")
    assert "did not answer in time" in told.unknown["psus"]


def test_i16_a_bmc_that_dies_meanwhile_is_unreachable(
    bmc: IpmiBmc, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = Ipmi("127.0.0.1", *FACTORY, port=bmc.port, timeout=1)

    def dies(data: bytes) -> tuple[int, bytes]:
        bmc.faults.add("silent")
        raise NoAnswer

    monkeypatch.setattr(bmc, "_fru_size", dies)
    with pytest.raises(Unreachable):
        driver.facts()


def test_i14_the_host_name_is_no_model(open_ipmi: Open) -> None:
    assert open_ipmi("fru-host-name").facts().model == "PowerEdge R630"


def test_i15_without_a_name_the_part_number(open_ipmi: Open) -> None:
    assert open_ipmi("fru-part-number").facts().model == "PART-1"


def test_i17_without_a_maker_the_number_of_the_bmcs(open_ipmi: Open) -> None:
    told = open_ipmi("no-maker").facts()
    assert (told.vendor, told.model) == ("Dell", "PowerEdge R630")


def test_i19_sensors_of_one_name_are_told_apart(open_ipmi: Open, machine: Machine) -> None:
    driver = open_ipmi("duplicate-sensors")
    names = [p.name for p in driver.facts().psus or ()]
    assert len(set(names)) == 2 and all(n.startswith("Status (") for n in names)
    machine.complaints = ("PSU 2: failure",)
    assert driver.health().reasons == (f"{names[1]}: failure",)


def test_i19_a_record_that_is_there_twice_is_one_sensor(open_ipmi: Open) -> None:
    once = open_ipmi()
    names = [p.name for p in once.facts().psus or ()]
    once.close()
    driver = open_ipmi("records-twice")
    assert [p.name for p in driver.facts().psus or ()] == names and len(names) == 2
    assert driver.health().health == "ok"


@pytest.mark.parametrize(
    ("order", "text"),
    [
        (lambda u: u.bytes_le, "4c4c4544-0058-4b80-8051-b8c04f32ac32"),
        (lambda u: u.bytes, "4c4c4544-0058-4b80-8051-b8c04f32ac32"),
        (lambda u: u.bytes[::-1], "4c4c4544-0058-4b10-8051-b8c04f32ac32"),
    ],
)
def test_a_uuid_in_any_order_of_bytes(
    bmc: IpmiBmc,
    order: Callable[[uuid.UUID], bytes],
    text: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of one made so that only one reading of it is a UUID."""
    known = uuid.UUID(text)
    monkeypatch.setattr(bmc, "_guid", lambda _: (0, order(known)))
    driver = Ipmi("127.0.0.1", *FACTORY, port=bmc.port, timeout=3, settle=1)
    assert driver.facts().uuid == str(known)
    driver.close()
