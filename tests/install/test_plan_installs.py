"""Which servers are installed, and what is said of those that are not."""

import pytest

from metal.install.plan import plan_installs
from metal.model.fleet import SiteBoot
from metal.model.life import Life, Status
from metal.model.plan import Risk
from metal.model.world import SeenServer, World

DISKS = [{"name": "PD 0:1:0", "size_gib": 100}]


def plan(inventory, life=Life.ENROLLED, **seen):
    return plan_installs(inventory, World(servers={"alba1": SeenServer(life=life, **seen)}))


def test_an_enrolled_server_is_installed_on_its_smallest_drive(made):
    (action,), warnings = plan(made.inventory())
    assert warnings == []
    assert (action.disk, action.disk_serial, action.risk) == ("sdb", "S3Z1NX0K", Risk.DESTROYS)
    assert (action.mac, action.debian, action.site) == (made.mac, "trixie", "lisbon")
    assert "sdb" in action.why and "S3Z1NX0K" in action.why


def test_the_card_named_by_the_operator_wins(made):
    (action,), _ = plan(made.inventory(boot_mac="02:00:5e:00:01:02"))
    assert action.mac == "02:00:5e:00:01:02"


@pytest.mark.parametrize(
    "life", [life for life in Life if life not in ("found", "enrolled", "tested")]
)
def test_any_other_life_is_left_alone(made, life):
    assert plan(made.inventory(), life) == ([], [])


def test_what_nobody_enrolled_is_left_alone_and_said_so(made):
    for world in (World(), World(servers={"alba1": SeenServer(life="found")})):
        installs, warnings = plan_installs(made.inventory(), world)
        assert installs == []
        assert warnings == ["not enrolled yet: alba1; begin with `metal enroll --all`"]


def test_a_held_server_is_said_so(made):
    installs, (warning,) = plan(made.inventory(), status=Status.HELD, note="disk clicks")
    assert installs == []
    assert "held" in warning and "disk clicks" in warning


@pytest.mark.parametrize(
    ("learned", "says"),
    [
        (None, "no drive is known"),
        ({"macs": ["02:00:5e:00:01:01"]}, "no drive is known"),
        ({"disks": [{"name": "sda", "size_gib": 9}]}, "boot_mac"),
        ({"macs": ["02:00:5e:00:01:01"], "disks": DISKS}, "its serial number is unknown"),
    ],
)
def test_a_missing_fact_is_a_warning_with_what_to_do(made, learned, says):
    installs, (warning,) = plan(made.inventory(learned=learned))
    assert installs == []
    assert warning.startswith("alba1 is not installed: ") and says in warning
    assert "alba1" in warning.split(";", 1)[1] or "NAME" in warning


@pytest.mark.parametrize("name", ["sda", "/dev/sda", "nvme0n1", "vda"])
def test_without_a_serial_number_a_kernel_name_will_do(made, name):
    disks = [{"name": name, "size_gib": 9}]
    (action,), _ = plan(made.inventory(learned={"macs": [made.mac], "disks": disks}))
    assert action.disk == name


def test_what_cannot_be_put_into_a_preseed_is_said_at_once(made):
    inventory = made.inventory()
    profile = inventory.profiles["ceph-node"].model_copy(update={"packages": ("a b",)})
    installs, (warning,) = plan(inventory.model_copy(update={"profiles": {"ceph-node": profile}}))
    assert installs == []
    assert "'a b' is no name of a Debian package" in warning


def test_a_drive_with_a_serial_number_may_have_any_name(made):
    disks = [{"name": "Disk 0 in 'Bay\\1'", "size_gib": 9, "serial": " S3Z1 NX0K "}]
    (action,), _ = plan(made.inventory(learned={"macs": [made.mac], "disks": disks}))
    assert action.disk_serial == " S3Z1 NX0K "


def test_on_a_vlan_debians_installer_comes_from_a_medium_or_not_at_all(made):
    links = {"management": {"cards": ["eno1"], "vlan": 30}}
    _, (warning,) = plan(made.inventory(links=links))
    assert "VLAN 30" in warning and 'method = "image"' in warning
    (install,), _ = plan(made.inventory(links=links, method="image"))
    assert install.method == "image"


def test_where_nobody_gives_addresses_nothing_is_installed_over_the_network(made):
    inventory = made.inventory()
    site = inventory.sites["lisbon"].model_copy(update={"boot": SiteBoot(dhcp="none")})
    inventory = inventory.model_copy(update={"sites": inventory.sites | {"lisbon": site}})
    installs, (warning,) = plan(inventory)
    assert installs == []
    assert "nobody gives addresses" in warning and "metal server show alba1" in warning


TWO = [
    {"name": "sda", "size_gib": 100, "serial": "A"},
    {"name": "sdb", "size_gib": 100, "serial": "B"},
    {"name": "sdc", "size_gib": 9000, "serial": "C"},
]


def on_drives(made, disks=TWO, *, profile=None, **server):
    learned = {"macs": ["02:00:5e:00:01:01"], "disks": disks}
    inventory = made.inventory(learned=learned, **server)
    kind = inventory.profiles["ceph-node"].model_copy(update=profile or {})
    return plan(inventory.model_copy(update={"profiles": {"ceph-node": kind}}))


@pytest.mark.parametrize(
    ("profile", "server", "disks"),
    [
        ({}, {"system_disks": ["C", "sda"]}, (("sdc", "C"), ("sda", "A"))),
        ({}, {"system_disks": ["B"]}, (("sdb", "B"),)),
        ({"mirrored": True}, {}, (("sda", "A"), ("sdb", "B"))),
        ({"mirrored": True, "debian": "bookworm", "method": "image"}, {},
         (("sda", "A"), ("sdb", "B"))),
    ],
)  # fmt: skip
def test_two_drives_are_named_or_the_profile_says_so(made, profile, server, disks):
    (action,), warnings = on_drives(made, profile=profile, **server)
    assert warnings == [] and action.disks == disks
    assert all(f"{name} (" in action.why and serial in action.why for name, serial in disks)


@pytest.mark.parametrize(
    ("disks", "profile", "server", "says"),
    [
        (TWO, {}, {"system_disks": ["A", "Z"]}, "it has no drive 'Z'"),
        (TWO, {}, {"system_disks": ["A", "sda"]}, "1 of its drives would be taken"),
        (TWO, {"mirrored": False}, {"system_disks": ["A", "B"]}, "one, which is not mirrored"),
        (TWO, {"mirrored": True}, {"system_disks": ["A"]}, "two, which are mirrored"),
        (TWO[:1], {"mirrored": True}, {}, "two, which are mirrored"),
        (TWO, {"mirrored": True, "debian": "bookworm"}, {}, "Debian 12's installer cannot"),
        (DISKS, {}, {"system_disks": ["PD 0:1:0"]}, "its serial number is unknown"),
    ],
)
def test_drives_that_are_not_as_they_are_told_to_be_are_refused(made, disks, profile, server, says):
    installs, warnings = on_drives(made, disks, profile=profile, **server)
    assert installs == []
    assert says in " ".join(warnings)
