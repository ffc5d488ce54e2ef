"""Two ways to install, one result: what the preseed tells the installer and what the image's job
tells the live system, held against each other; and the recipe that both follow."""

import json
import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metal.install.answers import answers
from metal.install.image import ImageSecrets, image_job, recipe_of, root_wanted, system_files
from metal.install.plan import plan_installs
from metal.install.recipe import read_recipe
from metal.install.render import Templates, continued, render_preseed
from metal.inventory.defaults import default_file, defaults
from metal.lab.preseeding import parse_preseed, report_urls, wanted_disks
from metal.live.agent import layout, system, volumes
from metal.live.root import RootImage, bootstrap_command
from metal.model.errors import BadInput
from metal.model.life import Life
from metal.model.plan import InstallServer, Risk
from metal.model.world import SeenServer, World

GOLDEN = Path(__file__).parent / "golden"
SECRETS = ImageSecrets(
    passphrase="k3y0fthed1sk" + "x" * 20,
    root_hash="$2b$08$" + "a" * 53,
    token="T0k3n-of_the_install-0123456789abcdefghijklm",
    report_key="0123456789abcdef" * 4 + "fedcba9876543210" * 4,
)
NOW = 1_795_000_000
MIRROR, BOOT = "http://mirror.example.org:8000/debian", "http://10.11.1.1:8080"
ROOT = RootImage(
    key="0123456789abcdef",
    suite="trixie",
    mirror=MIRROR,
    built="2026-11-20T00:00:00+00:00",
    blake2b="ab" * 64,
    bytes=271_000_000,
    packages={},
)
RECIPE = default_file("preseed/recipes/luks-lvm")


@pytest.fixture
def templates():
    return Templates([defaults()])


def action(**changes):
    told = {
        "what": "install",
        "why": "why",
        "risk": Risk.DESTROYS,
        "server": "alba1",
        "site": "lisbon",
        "profile": "ceph-node",
        "debian": "trixie",
        "mac": "02:00:5e:00:01:01",
        "disk": "sdb",
        "disk_serial": "S3Z1NX0K",
        "method": "image",
    }
    return InstallServer(**{**told, **changes})


@pytest.fixture(params=["trixie", "bookworm, by name", "IPv6", "two disks"])
def told(request, made):
    """The answers of one server, from which both ways are rendered."""
    inventory = made.inventory()
    if request.param == "trixie":
        return answers(inventory, action(), MIRROR, BOOT)
    if request.param == "IPv6":
        six = {"address": "2001:db8::11", "netmask": "64", "gateway": "2001:db8::1"}
        return answers(inventory, action(), MIRROR, BOOT).model_copy(update=six)
    if request.param == "two disks":
        two = action(mirror="sdc", mirror_serial="S3Z1NX0M")
        return answers(inventory, two, MIRROR, BOOT)
    other = action(debian="bookworm", disk="/dev/nvme0n1", disk_serial=None)
    return answers(inventory, other, "https://mirror.example.org", BOOT + "/")


def both(templates, told):
    """(the preseed's answers, the image's job)."""
    preseed = render_preseed(templates, told, **SECRETS.model_dump(), now=NOW)
    return parse_preseed(preseed), image_job(templates, told, ROOT, SECRETS)


def test_the_same_disk_key_and_password(templates, told):
    preseed, job = both(templates, told)
    assert wanted_disks(preseed["partman/early_command"]) == [
        (disk["name"], disk["serial"]) for disk in job["disks"]
    ]
    assert preseed["partman-crypto/passphrase"] == job["passphrase"]
    assert preseed["passwd/root-password-crypted"] == job["root_hash"]


def test_the_same_late_commands_and_phases(templates, told):
    """Keys, dropbear, the address in the initramfs, hosts, metal-up: all of it is in them."""
    preseed, job = both(templates, told)
    lines = [
        line.strip().removesuffix("\\").rstrip() for line in continued(job["late"]).splitlines()
    ]
    assert preseed["preseed/late_command"].endswith(" ".join(lines))
    reports = report_urls(preseed["preseed/early_command"])
    assert {p: f"{job['report']}/{p}" for p in ("partitioned", "base")} == reports


def test_the_same_network_names_and_sources(templates, told):
    preseed, job = both(templates, told)
    files = job["files"]
    interfaces = files["etc/network/interfaces"]
    address, prefix = re.search(r"address (\S+)/(\d+)", interfaces).groups()
    assert address == preseed["netcfg/get_ipaddress"]
    netmask = preseed["netcfg/get_netmask"]
    length = (
        int(netmask)
        if ":" in address
        else bin(int.from_bytes(bytes(map(int, netmask.split("."))))).count("1")
    )
    assert int(prefix) == length
    assert f"gateway {preseed['netcfg/get_gateway']}\n" in interfaces
    assert f"inet{'6' if ':' in address else ''} static" in interfaces
    for server in preseed["netcfg/get_nameservers"].split():
        assert f"nameserver {server}\n" in files["etc/resolv.conf"]
    assert files["etc/hostname"] == preseed["netcfg/get_hostname"] + "\n"
    assert f"search {preseed['netcfg/get_domain']}\n" in files["etc/resolv.conf"]
    sources, protocol = files["etc/apt/sources.list"], preseed["mirror/protocol"]
    host = preseed[f"mirror/{protocol}/hostname"]
    folder = preseed[f"mirror/{protocol}/directory"].rstrip("/")
    assert sources.startswith(f"deb {protocol}://{host}{folder} {preseed['mirror/suite']} main")


def test_the_same_packages(templates, told):
    preseed, _ = both(templates, told)
    wanted = root_wanted(told)
    assert set(preseed["pkgsel/include"].split()) <= set(wanted.packages)
    assert preseed["base-installer/install-recommends"] == "false"
    command = bootstrap_command(wanted, Path("status"), Path("tar"))
    assert '--aptopt=Apt::Install-Recommends "false"' in command


def test_the_same_partitions(templates, told):
    """The recipe's own words, looked for in the text that partman gets."""
    preseed, job = both(templates, told)
    scheme, recipe = preseed["partman-auto/expert_recipe"], job["recipe"]
    assert preseed["partman-auto-lvm/new_vg_name"] == recipe["group"]
    parts = [*recipe["outside"], *recipe["volumes"]]
    encrypted = 1 if recipe["mirrored"] else 0  # in a recipe of one disk nobody needs to say it
    assert len(parts) + encrypted == scheme.count(" .")
    for part in parts:
        sizes = f"{part['minimum']} {part['priority']} {part['maximum']} "
        assert sizes in scheme
        assert not part["volume"] or f"lv_name{{ {part['volume']} }}" in scheme
        own = part["mount"] not in ("", "/boot/efi")
        arrays = preseed.get("partman-auto-raid/recipe", "")
        assert (
            not own
            or f"mountpoint{{ {part['mount']} }}" in scheme
            or f"1 2 0 {part['filesystem']} {part['mount']} @" in arrays
        )


def test_golden_job(templates, made):
    job = image_job(templates, answers(made.inventory(), action(), MIRROR, BOOT), ROOT, SECRETS)
    late = job.pop("late")
    text = json.dumps(job, indent=2) + "\n\n" + late
    file = GOLDEN / "alba1-image.txt"
    if os.environ.get("METAL_GOLDEN"):
        file.write_text(text)
    assert text == file.read_text(), f"if that is wanted: METAL_GOLDEN=1 pytest {__file__}"


def test_on_two_disks_there_is_one_recipe_for_both(templates, made):
    """What differs is what lies on the arrays and what each disk has of its own."""
    one = recipe_of(templates, answers(made.inventory(), action(), MIRROR, BOOT))
    two = recipe_of(templates, answers(made.inventory(), action(mirror="sdc"), MIRROR, BOOT))
    assert two == one.model_copy(update={"mirrored": True})


def test_the_machine_writes_fstab_and_crypttab_as_the_installer_does(templates, made):
    recipe = recipe_of(templates, answers(made.inventory(), action(), MIRROR, BOOT))
    disk = volumes.Made(["/dev/nvme0n1"], "/dev/nvme0n1p4", "nvme0n1p4_crypt", recipe.group)
    devices = [volumes.partition(disk.disks[0], n) for n in range(1, 4)]
    for device, part in zip(devices, recipe.outside, strict=True):
        if part.filesystem:
            disk.filesystems.append((device, part.filesystem, part.mount))
    for part in recipe.volumes:
        name = f"/dev/mapper/{recipe.group}-{part.volume}"
        disk.filesystems.append((name, part.filesystem, part.mount))
    uuids = {"/dev/nvme0n1p2": "AAAA-BBBB", "/dev/nvme0n1p3": "0f3c"}
    assert system.fstab(disk, uuids).splitlines() == [
        "/dev/mapper/system-root / ext4 errors=remount-ro 0 1",
        "UUID=0f3c /boot ext4 defaults 0 2",
        "UUID=AAAA-BBBB /boot/efi vfat umask=0077 0 1",
        "/dev/mapper/system-swap none swap sw 0 0",
    ]
    assert system.crypttab(disk, "1234") == "nvme0n1p4_crypt UUID=1234 none luks,discard\n"


def test_a_card_is_named_by_the_machine_alone(made):
    files = system_files(answers(made.inventory(), action(), MIRROR, BOOT))
    named = [name for name, text in files.items() if system.CARD in text]
    assert named == ["etc/network/interfaces"]


# ── the recipe ──────────────────────────────────────────────────────────────────────────────


def test_the_packaged_recipe():
    recipe = read_recipe(RECIPE.read_text(), "luks-lvm")
    assert [(p.method, p.mount) for p in recipe.outside] == [
        ("biosgrub", ""),
        ("efi", "/boot/efi"),
        ("format", "/boot"),
    ]
    assert [(p.volume, p.mount, p.filesystem) for p in recipe.volumes] == [
        ("root", "/", "ext4"),
        ("swap", "", "swap"),
    ]
    assert (recipe.group, recipe.volumes[0].maximum) == ("system", -1)


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("string crypto", "string lvm", "methods crypto"),
        ("guided_size string max", "guided_size string 50%", "guided_size"),
        ("8192 20000 -1", "50% 20000 -1", "plain MB"),
        ("$primary{ }", "$primary{ } raidid{ 1 }", "raidid"),
        ("lv_name{ root } ", "", "lv_name"),
        ("mountpoint{ / }", "mountpoint{ /srv }", "its / is not"),
        ("mountpoint{ /boot }", "mountpoint{ /boots }", "its /boot"),
        ("$iflabel{ gpt }", "$iflabel{ msdos }", "GPT"),
    ],
)
def test_a_recipe_that_asks_for_more_is_refused_whole(old, new, why):
    text = RECIPE.read_text()
    assert old in text
    with pytest.raises(BadInput, match=re.escape(why)) as caught:
        read_recipe(text.replace(old, new), "mine")
    assert caught.value.where == "preseed/recipes/mine"


MIRRORED = default_file("preseed/recipes/luks-lvm-mirrored")


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("1 2 0 ext4", "5 3 0 ext4", "arrays other than"),
        ("/boot @3 .", "/boot /dev/sda3#/dev/sdb3 .", "arrays other than"),
        ("0 crypto-lvm", "0 lvm", "the last is crypto-lvm"),
        ("- @4", "- @5", "each of its raid partitions"),
        ("/boot @3", "/srv @3", "its /boot"),
    ],
)
def test_arrays_that_are_not_known_are_refused(old, new, why):
    text = MIRRORED.read_text()
    assert old in text
    with pytest.raises(BadInput, match=re.escape(why)):
        read_recipe(text.replace(old, new, 1), "mine")


def rows(*sizes):
    return [dict(zip(("minimum", "priority", "maximum"), row, strict=True)) for row in sizes]


@pytest.mark.parametrize(
    ("parts", "free", "sizes"),
    [
        (((8192, 20000, -1), (2048, 4096, 8192)), 11_000, [8844, 2155]),
        (((8192, 20000, -1), (2048, 4096, 8192)), 20_000, [16571, 3428]),
        (((8192, 20000, -1), (2048, 4096, 8192)), 237_000, [228808, 8192]),
        (((1, 1, 1), (538, 738, 1075), (1024, 1024, 1024), (100, 1000, -1)), 239_996,
         [1, 1075, 1024, 237896]),
    ],
)  # fmt: skip
def test_sizes_are_those_of_partmans_expand_scheme(parts, free, sizes):
    """Expected: what the shell function of partman-auto printed for the same numbers."""
    assert layout.sizes(rows(*parts), free) == sizes


part = st.tuples(st.integers(0, 9000), st.integers(0, 30_000), st.integers(0, 20_000)).map(
    lambda told: (told[0], told[0] + told[1], -1 if told[2] % 3 == 0 else told[0] + told[2])
)


@given(st.lists(part, min_size=1, max_size=6), st.integers(0, 10**6))
def test_no_part_is_smaller_or_larger_than_it_may_be_and_all_fit(parts, more):
    free = sum(least for least, _, _ in parts) + more
    found = layout.sizes(rows(*parts), free)
    assert sum(found) <= free
    for (least, _, most), size in zip(parts, found, strict=True):
        assert least <= size and (most == -1 or size <= most)


def test_the_partition_table_of_a_disk():
    recipe = read_recipe(RECIPE.read_text(), "luks-lvm").model_dump()
    needed = sum(p["minimum"] for p in recipe["volumes"])
    assert layout.partition_script(recipe["outside"], 240 * 10**9, needed).splitlines() == [
        "label: gpt",
        "size=1MiB, type=21686148-6449-6E6F-744E-656564454649",
        "size=513MiB, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B",
        "size=977MiB, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4",
        "type=0FC63DAF-8483-4772-8E79-3D69D8477DE4",
    ]
    for small in (10**9, 11 * 10**9):
        with pytest.raises(layout.TooSmall):
            layout.partition_script(recipe["outside"], small, needed)


# ── which way ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("profile", "server", "method"),
    [("preseed", None, "preseed"), ("image", None, "image"), ("image", "preseed", "preseed")],
)
def test_the_servers_word_goes_before_its_profiles(made, profile, server, method):
    inventory = made.inventory(**({"method": server} if server else {}))
    named = inventory.profiles["ceph-node"].model_copy(update={"method": profile})
    inventory = inventory.model_copy(update={"profiles": {"ceph-node": named}})
    world = World(servers={"alba1": SeenServer(life=Life.ENROLLED)})
    (install,), _ = plan_installs(inventory, world)
    assert install.method == method
    assert ("image" in install.what) is (method == "image")
