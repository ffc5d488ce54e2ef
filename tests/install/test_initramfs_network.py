"""The way to a server that waits for its key, or is being installed from a medium, on a VLAN or
over whichever card of a bond has a link: the scripts, run by a real shell."""

import shutil
import subprocess
from types import SimpleNamespace

import pytest

from metal.install.answers import answers
from metal.install.medium import NETWORK, trust
from metal.install.render import Templates, render_network, render_preseed
from metal.inventory.defaults import default_file, defaults
from metal.lab.preseeding import parse_preseed
from metal.live import build
from metal.live.agent import network
from metal.live.desk import LiveDesk

from .test_render import BOOT, MIRROR, SECRETS, action_for, check_golden, stubs

MAC = "02:00:5e:00:01:01"
TAGGED = {"cards": ["eno1", "eno2"], "bond": "802.3ad", "vlan": 30}
OVER_IPV6 = {"address": "2001:db8::11", "netmask": "64", "gateway": "2001:db8::1"}


@pytest.fixture
def templates():
    return Templates([defaults()])


@pytest.fixture
def told(made):
    """By what its `links` say."""

    def told(**link):
        inventory = made.inventory(links={"management": link} if link else {})
        return answers(inventory, action_for(), MIRROR, BOOT)

    return told


@pytest.fixture
def run(tmp_path):
    """`run(script, cards, conf)`: what it did by `ip` and the like, and said; `cards`: name → (MAC,
    has it a link). Its second sleep ends it, as init-bottom would."""
    net, log = tmp_path / "net", tmp_path / "log"
    logs = f'echo "$*" >>{log}'
    quiet = {"modprobe": "exit 0", "debconf_set": f'echo "debconf-set $*" >>{log}'}
    ends = f"[ -e {tmp_path}/slept ] && rm -f {tmp_path}/state; : >{tmp_path}/slept"
    environment = stubs(tmp_path / "bin", ip=logs, sleep=ends, **quiet)

    def run(script, cards, conf=""):
        shutil.rmtree(net, ignore_errors=True)
        for name, (mac, carrier) in cards.items():
            (net / name / "device").mkdir(parents=True)
            (net / name / "address").write_text(f"{mac}\n")
            (net / name / "carrier").write_text(f"{carrier:d}\n")
        (net / "vlan9").mkdir(parents=True, exist_ok=True)
        (tmp_path / "conf").write_text(conf)
        log.write_text("")
        places = {
            "/sys/class/net": net,
            "/conf/conf.d/metal": tmp_path / "conf",
            "/run/metal-network.pid": tmp_path / "pid",
            "/run/metal-network": tmp_path / "state",
            "/etc/network": tmp_path / "etc",
            "/etc/resolv.conf": tmp_path / "resolv.conf",
            ">/dev/console": f">>{log}",
        }
        for path, ours in places.items():
            script = script.replace(path, str(ours))
        ran = subprocess.run(
            ["sh"], input=f"{script}\nwait\n", env=environment, capture_output=True, text=True
        )
        assert (ran.returncode, ran.stderr) == (0, "")
        return log.read_text().splitlines()

    return run


def late(templates, told):
    return parse_preseed(render_preseed(templates, told, **SECRETS))["preseed/late_command"]


def conf_of(command):
    lines = command.split(">/target/etc/initramfs-tools/conf.d/metal")[:-1]
    return "".join(line.rsplit("echo '", 1)[1].rsplit("'", 1)[0] + "\n" for line in lines)


SCRIPT = default_file("preseed/initramfs-network.sh").read_text()
LEFT = ["address flush dev eno2", "link set dev eno2 down"]


def test_over_ipv6_the_initramfs_has_its_address_on_its_card(templates, told, run):
    command = late(templates, told().model_copy(update=OVER_IPV6))
    cards = {"eno1": ("02:00:5e:00:01:09", True), "eno2": (MAC, True)}
    assert run(SCRIPT, cards, conf_of(command)) == [
        *["link set dev eno2 up"] * 2,
        "-6 address add 2001:db8::11/64 dev eno2",
        "-6 route add default via 2001:db8::1 dev eno2",
        "metal: 2001:db8::11/64 is on eno2",
        *LEFT,
    ]
    assert "METAL_VLAN=" not in command


def test_of_a_bond_the_card_with_a_link_carries_the_vlan(templates, told, run):
    command = late(templates, told(**TAGGED))
    cards = {"eno1": (MAC, False), "eno2": ("02:00:5e:00:01:02", True), "eno3": ("", True)}
    assert run(SCRIPT, cards, conf_of(command))[1:] == [
        *["link set dev eno2 up"] * 2,
        "link add link eno2 name metal-vlan type vlan id 30",
        "link set dev metal-vlan up",
        "-4 address add 10.11.1.11/24 dev metal-vlan",
        "-4 route add default via 10.11.1.1 dev metal-vlan",
        "metal: 10.11.1.11/24 is on eno2, VLAN 30",
        *LEFT,
    ]
    assert "echo 8021q >>/target/etc/initramfs-tools/modules" in command


def test_where_no_card_has_such_a_name_it_is_the_one_that_was_booted_through(templates, told, run):
    conf = conf_of(late(templates, told(**TAGGED)))
    assert "metal: 10.11.1.11/24 is on eth1, VLAN 30" in run(SCRIPT, {"eth1": (MAC, True)}, conf)
    named = {"eth1": (MAC, True), "eno2": ("02:00:5e:00:01:02", False)}
    assert not any(line.startswith("metal:") for line in run(SCRIPT, named, conf))


def test_what_the_kernels_own_way_leads_to_is_left_to_it(templates, told, run):
    command = late(templates, told(cards=["eno1"]))
    assert "METAL_" not in command and "scripts/init-premount" not in command
    assert run(SCRIPT, {"eno1": (MAC, True)}, conf_of(command)) == []


# ── the medium and the live system ──────────────────────────────────────────────────────────


def test_golden_of_the_installers_network(templates, told):
    check_golden("alba1-network.sh", render_network(templates, told(**TAGGED)))


def test_the_installer_is_given_the_vlan_on_the_card_with_a_link(templates, told, run, tmp_path):
    script = render_network(templates, told(**TAGGED))
    cards = {"eno1": (MAC, False), "eno2": ("02:00:5e:00:01:02", True)}
    assert run(script, cards)[2:] == [
        "link set dev lo up",
        "link add link eno2 name vlan30 type vlan id 30",
        "link set dev vlan30 up",
        "address add 10.11.1.11/24 dev vlan30",
        "route add default via 10.11.1.1 dev vlan30",
        "debconf-set netcfg/enable false",
        "metal: 10.11.1.11 is on eno2, VLAN 30",
    ]
    assert (tmp_path / "resolv.conf").read_text().endswith("nameserver 10.11.1.1\n")
    _ifupdown_makes_it(tmp_path / "etc" / "interfaces")
    untagged = render_network(templates, told(cards=["eno1", "eno2"], bond="active-backup"))
    assert run(untagged, cards)[2:] == [
        "link set dev lo up",
        "address add 10.11.1.11/24 dev eno2",
        "route add default via 10.11.1.1 dev eno2",
        "debconf-set netcfg/enable false",
        "metal: 10.11.1.11 is on eno2",
    ]
    dark = run(script, {"eno1": (MAC, False), "eth0": ("02:00:5e:00:01:02", True)})
    assert dark[-1] == f"metal: none of the cards eno1 eno2 {MAC} has a link"


def _ifupdown_makes_it(file):
    """ifupdown of this machine makes the VLAN before it brings it up."""
    assert "@card@" not in file.read_text() and "vlan-raw-device eno2\n" in file.read_text()
    if shutil.which("ifup"):
        ask = ["ifup", "--no-act", "--verbose", "--force", "-i", str(file), "vlan30"]
        said = subprocess.run(ask, capture_output=True, text=True).stderr
        made = said.index("ip link add link eno2 name vlan30 type vlan id 30")
        assert made < said.index("ip addr add 10.11.1.11/255.255.255.0"), said


def test_the_medium_has_it_where_it_is_needed(templates, told):
    for link, wanted in ((TAGGED, True), ({"cards": ["eno1"]}, False), ({}, False)):
        assert (NETWORK.encode() in trust(templates, told(**link))) == wanted


def test_the_live_system_tags_what_its_script_says(tmp_path, monkeypatch):
    (tmp_path / "eth0" / "device").mkdir(parents=True)
    (tmp_path / "eth0" / "address").write_text(MAC)
    (tmp_path / "eth0" / "carrier").write_text("1")
    done = []
    monkeypatch.setattr(network, "NET", tmp_path)
    monkeypatch.setattr(network, "run", lambda words: done.append(" ".join(words)))
    assert network.bring_up(MAC, "10.11.1.11/24", "10.11.1.1", "30")
    assert done == [
        "ip link set eth0 up",
        "modprobe 8021q",
        "ip link add link eth0 name vlan30 type vlan id 30",
        "ip link set vlan30 up",
        "ip -4 address add 10.11.1.11/24 dev vlan30",
        "ip -4 route add default via 10.11.1.1 dev vlan30",
    ]


def test_the_live_systems_script_says_its_vlan(made, tmp_path, monkeypatch):
    monkeypatch.setattr(build, "current", lambda _state: SimpleNamespace(key="k"))

    def script(**server):
        jobs = SimpleNamespace(boot=lambda *_: SimpleNamespace(server="alba1"))
        workspace = SimpleNamespace(
            folder=tmp_path,
            state=tmp_path,
            inventory=made.inventory(**server),
            store=SimpleNamespace(jobs=jobs),
            boot_url=BOOT,
        )
        return LiveDesk(workspace).script(MAC, None)

    assert " metal.vlan=30 " in script(links={"management": TAGGED})
    assert "vlan" not in script()
