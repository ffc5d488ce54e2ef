"""What a BMC's parts say of their health, where the system itself says that all is well."""

from __future__ import annotations

from typing import Any

from metal.drivers.redfish_health import MOST_DRIVES, read_health
from metal.drivers.redfish_seldom import SELDOM, Seldom
from metal.drivers.redfish_tree import Tree
from metal.heal.signs import signs
from metal.lab.redfish_offline import OfflineSession
from metal.model.facts import HealthReport

SYSTEM, CHASSIS = "/redfish/v1/Systems/1", "/redfish/v1/Chassis/1"
OK, CRITICAL = {"Status": {"Health": "OK"}}, {"Status": {"Health": "Critical"}}


def health(made: Any) -> HealthReport:
    made[SYSTEM].setdefault("Status", {"Health": "OK"})
    return read_health(Tree(OfflineSession(made)))


def drives(made: Any, bodies: list[dict[str, Any]]) -> None:
    paths = [f"{SYSTEM}/Drives/{i}" for i in range(len(bodies))]
    made |= dict(zip(paths, bodies, strict=True))
    made.below(SYSTEM, "Storage", {"1": {"Drives": [{"@odata.id": p} for p in paths]}})


def test_supplies_and_fans_of_newer_bmcs_are_noticed(made: Any) -> None:
    for name, parts, part in (("Power", "PowerSupplies", "PSU"), ("Thermal", "Fans", "Fan")):
        place = f"{CHASSIS}/{name}Subsystem"
        made[CHASSIS][f"{name}Subsystem"] = {"@odata.id": place}
        made[place] = {"Id": f"{name}Subsystem"}
        made.below(place, parts, {f"{part}0": OK, f"{part}1": CRITICAL})
    told = health(made)
    assert told.health == "critical"
    assert told.reasons == ("PSU1: its health is critical", "Fan1: its health is critical")
    assert signs(told.reasons) == ("power supply", "fan")


def test_a_drive_that_fails_is_noticed_while_the_system_is_ok(made: Any) -> None:
    bad = {"Name": "Disk 1", "Model": "HUC101860", "FailurePredicted": True}
    empty = {"Name": "Bay 3", "Status": {"State": "UnavailableOffline", "Health": "Critical"}}
    drives(made, [{"Name": "Disk 0", "Model": "HUC101860"} | OK, bad, empty])
    told = health(made)
    assert told.reasons == ("Disk 1: failure predicted",)
    assert signs(told.reasons) == ("drive",)
    drives(made, [bad | {"FailurePredicted": False} | CRITICAL])
    assert health(made).health == "critical"


def test_of_many_drives_those_of_a_controller_that_complains_are_asked(made: Any) -> None:
    many = [{"Name": f"D{i}", "Model": "HUC1018"} | OK for i in range(MOST_DRIVES)]
    drives(made, [*many, {"Name": "D16", "Model": "HUC1018"} | CRITICAL])
    made[f"{SYSTEM}/Storage/1"]["Status"] = {"Health": "OK", "HealthRollup": "Critical"}
    assert health(made).reasons == ("D16: its health is critical",)


def test_many_drives_are_not_asked_in_every_look(made: Any) -> None:
    drives(made, [{"Name": f"D{i}", "Model": "HUC1018"} | CRITICAL for i in range(MOST_DRIVES + 1)])
    assert health(made).reasons == ()
    made[SYSTEM]["Status"] = {"Health": "Warning"}
    assert len(health(made).reasons) == MOST_DRIVES + 1


def test_that_something_is_well_again_is_no_complaint(made: Any) -> None:
    again = {"Severity": "OK", "Message": "Power supply PS1: the input loss was resolved."}
    lost = {"Severity": "Warning", "Message": "Power supply PS2: input lost."}
    made[SYSTEM]["Status"] = {"Health": "OK", "Conditions": [again, lost]}
    assert health(made).reasons == ("Power supply PS2: input lost.",)


# ── What seldom changes ──────────────────────────────────────────────────────────────────────


DISK = {"Name": "Disk 1", "Model": "HUC101860"}


class Looks:
    """Somebody who stays logged in, and a clock to set."""

    def __init__(self, made: Any) -> None:
        made[SYSTEM].setdefault("Status", {"Health": "OK"})
        self.now, self.tree = 0.0, Tree(OfflineSession(made))
        self.seldom = Seldom(lambda: self.now)

    def reasons(self) -> tuple[str, ...]:
        return read_health(self.tree, self.seldom).reasons


def test_drives_that_are_well_are_asked_once_a_minute(made: Any) -> None:
    drives(made, [DISK | OK])
    looks = Looks(made)
    assert looks.reasons() == ()
    drives(made, [DISK | CRITICAL])
    looks.now = SELDOM / 2 - 1
    assert looks.reasons() == ()
    looks.now = SELDOM
    assert looks.reasons() == ("Disk 1: its health is critical",)


def test_one_that_complained_is_asked_in_every_look(made: Any) -> None:
    """So that a second look confirms it, or takes it back."""
    drives(made, [DISK | CRITICAL])
    looks = Looks(made)
    assert looks.reasons() == ("Disk 1: its health is critical",)
    drives(made, [DISK | OK])
    assert looks.reasons() == ()


def test_where_the_system_is_not_well_everything_is_asked(made: Any) -> None:
    drives(made, [DISK | OK])
    looks = Looks(made)
    assert looks.reasons() == ()
    drives(made, [DISK | CRITICAL])
    made[SYSTEM]["Status"] = {"Health": "OK", "HealthRollup": "Critical"}
    assert "Disk 1: its health is critical" in looks.reasons()


def test_a_power_supply_is_asked_in_every_look(made: Any) -> None:
    supply = {"Name": "PSU 1"} | OK
    made[CHASSIS]["Power"] = {"@odata.id": f"{CHASSIS}/Power"}
    made[f"{CHASSIS}/Power"] = {"Id": "Power", "PowerSupplies": [supply]}
    looks = Looks(made)
    assert looks.reasons() == ()
    supply |= CRITICAL
    assert looks.reasons() == ("PSU 1: its health is critical",)
