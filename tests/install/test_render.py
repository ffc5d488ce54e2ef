"""What the installer gets: as recorded, true to debconf and the shell, and nothing breaks out."""

import os
import shutil
import stat
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metal.install.answers import answers
from metal.install.derived import proof_of
from metal.install.render import (
    Templates,
    render_asking,
    render_disk_script,
    render_preseed,
    render_script,
)
from metal.inventory.defaults import defaults
from metal.lab.preseeding import (
    Reporter,
    parse_preseed,
    parse_script,
    report_urls,
    reporter,
    wanted_disks,
)
from metal.model.errors import BadInput
from metal.model.plan import InstallServer, Risk

GOLDEN = Path(__file__).parent / "golden"
TOKEN = "T0k3n-of_the_install-0123456789abcdefghijklm"
SECRETS = {
    "passphrase": "k3y0fthed1sk" + "x" * 20,
    "root_hash": "$2b$08$" + "a" * 53,
    "token": TOKEN,
    "report_key": "0123456789abcdef" * 4 + "fedcba9876543210" * 4,
    "now": 1_795_000_000,
}
CONTROLLER = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
HOOKS = ("partman/finish.d/99metal", "post-base-installer.d/99metal")
MIRROR, BOOT = "http://mirror.example.org:8000/debian", "http://10.11.1.1:8080"


def action_for(**changes):
    return InstallServer(
        **{
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
            **changes,
        }
    )


def with_fleet(inventory, **changes):
    return inventory.model_copy(update={"fleet": inventory.fleet.model_copy(update=changes)})


@pytest.fixture
def templates():
    return Templates([defaults()])


@pytest.fixture
def plain(made):
    return answers(made.inventory(), action_for(), MIRROR, BOOT, CONTROLLER)


@pytest.fixture
def mirrored(made):
    action = action_for(mirror="nvme0n1", mirror_serial="S3Z1NX0M")
    return answers(made.inventory(), action, MIRROR, BOOT, CONTROLLER)


def check_golden(name, text):
    file = GOLDEN / name
    if os.environ.get("METAL_GOLDEN"):
        file.write_text(text)
    assert text == file.read_text(), f"if that is wanted: METAL_GOLDEN=1 pytest {__file__}"


def test_golden_preseed(templates, plain):
    check_golden("alba1.cfg", render_preseed(templates, plain, **SECRETS))


def test_golden_preseed_on_bookworm_by_kernel_name(templates, made):
    inventory = made.inventory()
    action = action_for(debian="bookworm", disk="/dev/nvme0n1", disk_serial=None)
    told = answers(inventory, action, "https://mirror.example.org", BOOT + "/")
    check_golden("alba1-bookworm.cfg", render_preseed(templates, told, **SECRETS))


def test_golden_preseed_on_two_disks(templates, mirrored):
    check_golden("alba1-mirrored.cfg", render_preseed(templates, mirrored, **SECRETS))


def test_golden_scripts(templates, plain):
    check_golden("alba1.ipxe", render_script(templates, plain, TOKEN))
    check_golden("disk.ipxe", render_disk_script(templates))
    check_golden("alba1-boot.cfg", render_script(templates, plain, TOKEN, "grub"))
    check_golden("network.cfg", render_asking(templates, BOOT))


@pytest.mark.skipif(not shutil.which("debconf-set-selections"), reason="no debconf here")
@pytest.mark.parametrize("name", ["alba1.cfg", "alba1-bookworm.cfg", "alba1-mirrored.cfg"])
def test_debconf_accepts_the_preseed(name):
    check = ["debconf-set-selections", "--checkonly", GOLDEN / name]
    ran = subprocess.run(check, capture_output=True, text=True)
    assert (ran.returncode, ran.stderr) == (0, "")


def test_the_script_gives_the_kernel_what_the_installer_needs(templates, plain):
    script = parse_script(render_script(templates, plain, TOKEN))
    assert script.kernel == f"{BOOT}/installer/trixie/linux"
    assert script.initrd == f"{BOOT}/installer/trixie/initrd.gz"
    assert script.argument("url") == f"{BOOT}/preseed/{TOKEN}"
    assert script.argument("netcfg/get_ipaddress") == "10.11.1.11"
    assert len(script.arguments) < 32, "the kernel panics at more"
    assert script.arguments[-2:] == ("---", "console=ttyS0")


def test_all_four_phases_are_reported(templates, plain):
    told = parse_preseed(render_preseed(templates, plain, **SECRETS))
    early, late = told["preseed/early_command"], told["preseed/late_command"]
    assert list(report_urls(early)) == ["partitioned", "base"]
    assert reporter(late) == Reporter(f"{BOOT}/report/{TOKEN}", SECRETS["report_key"])
    assert "metal-up finished" in late and "metal-up up" in late


def test_the_installer_takes_the_controllers_time(templates, plain):
    """First of all, by a busybox; and waits for no time server of a network that has none."""
    told = parse_preseed(render_preseed(templates, plain, **SECRETS))
    assert told["clock-setup/ntp"] == "false"
    first = told["preseed/early_command"].split("; ")[0]
    assert first == f"date -u -s @{SECRETS['now']} >/dev/null"
    if busybox := shutil.which("busybox"):
        asked = [busybox, *first.replace("-s", "-d").split()[:-1], "+%F"]
        assert subprocess.run(asked, capture_output=True, text=True).stdout == "2026-11-18\n"


def test_a_server_that_opens_itself_gets_what_its_initramfs_needs_for_that(made, plain):
    assert not [p for p in plain.packages if p.startswith("clevis")]
    tang = {"by": ["dropbear", "tang"], "tang": ["t"]}
    for unlock, wanted in (
        (tang, ["clevis-luks", "clevis-initramfs"]),
        ({"by": ["tpm2"]}, ["clevis-luks", "clevis-initramfs", "clevis-tpm2"]),
    ):
        told = answers(made.inventory(unlock=unlock), action_for(), MIRROR, BOOT)
        assert [p for p in told.packages if p.startswith("clevis")] == wanted


@pytest.mark.parametrize(
    ("cpu", "wanted"),
    [
        ("2 × Intel Xeon Silver 4114", ["intel-microcode"]),
        ("Intel(R) Xeon(R) CPU E5-2650 v4 @ 2.20GHz", ["intel-microcode"]),
        ("AMD EPYC 7302P 16-Core Processor", ["amd64-microcode"]),
        ("AMD Opteron(tm) Processor 6272", ["amd64-microcode"]),
        ("QEMU TCG CPU version 2.5+", []),
        (None, []),
    ],
)
def test_a_processor_gets_its_makers_microcode(made, cpu, wanted):
    told = answers(made.inventory(learned={"cpu": cpu}), action_for(), MIRROR, BOOT)
    assert [p for p in told.packages if p.endswith("-microcode")] == wanted


def test_a_workspaces_own_template_wins(templates, plain, tmp_path):
    own = tmp_path / "preseed" / "recipes" / "luks-lvm"
    own.parent.mkdir(parents=True)
    own.write_text("d-i partman-auto/method string mine\n")
    text = render_preseed(Templates([tmp_path, defaults()]), plain, **SECRETS)
    assert "string mine" in text and "string crypto" not in text


def test_a_broken_template_says_its_name_and_no_secret(plain, tmp_path):
    own = tmp_path / "preseed" / "base.cfg.j2"
    own.parent.mkdir(parents=True)
    own.write_text("{{ passphrase }} {{ nonsense }}")
    with pytest.raises(BadInput) as caught:
        render_preseed(Templates([tmp_path, defaults()]), plain, **SECRETS)
    assert caught.value.where == "preseed/base.cfg.j2" and "nonsense" in caught.value.what
    assert SECRETS["passphrase"] not in f"{caught.value} {caught.value.__cause__}"


def test_an_unknown_recipe_is_named(templates, plain):
    with pytest.raises(BadInput, match="no-such"):
        render_preseed(templates, plain.model_copy(update={"recipe": "no-such"}), **SECRETS)


# ── run by a real shell ─────────────────────────────────────────────────────────────────────


def stubs(folder, **scripts):
    """Commands of the installer, as far as the preseed's own commands see them."""
    folder.mkdir()
    for name, script in scripts.items():
        file = folder / name.replace("_", "-")
        file.write_text("#!/bin/sh\n" + script)
        file.chmod(0o755)
    return {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}


UDEVADM = """case "$*" in
    *sda) echo ID_SERIAL_SHORT=ZC11ABCD; echo ID_MODEL=S3Z1NX0K;;
    *sdb) echo ID_SERIAL=SSD_S3Z1NX0K; echo ID_SCSI_SERIAL=S3Z1NX0K; echo ID_SERIAL_SHORT=5000c5;;
    *sdc) echo ID_SERIAL_SHORT=S3Z1NX0K-2;;
esac"""


@pytest.mark.parametrize(
    ("name", "serial", "chosen"),
    [("sda", "S3Z1NX0K", "/dev/sdb"), ("sdc", None, "/dev/sdc"), ("sdd", None, None)],
)
def test_the_early_command_chooses_the_disk(templates, made, tmp_path, name, serial, chosen):
    action = action_for(disk=name, disk_serial=serial)
    told = answers(made.inventory(), action, MIRROR, BOOT)
    command = parse_preseed(render_preseed(templates, told, **SECRETS))["partman/early_command"]
    environment = stubs(
        tmp_path / "bin",
        list_devices="printf '%s\\n' /dev/sda /dev/sdb /dev/sdc",
        udevadm=UDEVADM,
        debconf_set='echo "$*"',
        sleep="kill -TERM $PPID",
    )
    command = command.replace("/dev/console", "/dev/stdout")
    ran = subprocess.run(["sh", "-c", command], env=environment, capture_output=True, text=True)
    assert ran.stderr == ""
    if chosen:
        assert ran.stdout == f"partman-auto/disk {chosen}\ngrub-installer/bootdev {chosen}\n"
    else:
        assert ran.stdout == f"metal: 0 disks are {name} , so none is touched\n"
    assert wanted_disks(command) == [(name, serial or "")]


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        (("sda", "S3Z1NX0K"), ("sdx", "ZC11ABCD"), ("/dev/sdb", "/dev/sda")),
        (("sda", "S3Z1NX0K"), ("nvme0n1", ""), ("/dev/sdb", "/dev/nvme0n1")),
        (("sda", "S3Z1NX0K"), ("sdb", ""), "0 disks are sdb "),
        (("sda", "S3Z1NX0K"), ("sdd", "GONE"), "0 disks are sdd GONE"),
        (("sdd", "GONE"), ("sda", "S3Z1NX0K"), "0 disks are sdd GONE"),
    ],
    ids=["two", "NVMe", "one twice", "no second", "no first"],
)
def test_the_early_command_chooses_two_disks(templates, made, tmp_path, first, second, said):
    """And names the partitions of the arrays, which nobody knew before."""
    action = action_for(
        disk=first[0], disk_serial=first[1], mirror=second[0], mirror_serial=second[1]
    )
    told = parse_preseed(
        render_preseed(templates, answers(made.inventory(), action, MIRROR, BOOT), **SECRETS)
    )
    environment = stubs(
        tmp_path / "bin",
        list_devices="printf '%s\\n' /dev/sda /dev/sdb /dev/nvme0n1",
        udevadm=UDEVADM,
        debconf_set='echo "$*"',
        debconf_get=f"echo '{told['partman-auto-raid/recipe']}'",
        sleep="kill -TERM $PPID",
    )
    command = told["partman/early_command"].replace("/dev/console", "/dev/stdout")
    ran = subprocess.run(["sh", "-c", command], env=environment, capture_output=True, text=True)
    assert ran.stderr == ""
    if isinstance(said, str):
        assert ran.stdout == f"metal: {said}, so none is touched\n"
        return
    one, two = said
    parts = {n: f"{one}{n}#{two}{'p' if 'nvme' in two else ''}{n}" for n in (3, 4)}
    assert ran.stdout.splitlines() == [
        f"partman-auto-raid/recipe 1 2 0 ext4 /boot {parts[3]} . 1 2 0 crypto-lvm - {parts[4]} .",
        f"partman-auto/disk {one} {two}",
        f"grub-installer/bootdev {one} {two}",
    ]


def test_the_late_command_prepares_the_first_boot(templates, plain, tmp_path):
    command = parse_preseed(render_preseed(templates, plain, **SECRETS))["preseed/late_command"]
    target = tmp_path / "target"
    for folder in ("etc/systemd/system", "root", "usr/local/sbin"):
        (target / folder).mkdir(parents=True)
    log = f'echo "${{0##*/}} $*" >>{tmp_path}/log'
    environment = stubs(tmp_path / "bin", in_target=log, wget=log)
    command = command.replace("/target", str(target))
    ran = subprocess.run(["sh", "-c", command], env=environment, capture_output=True, text=True)
    assert (ran.returncode, ran.stderr) == (0, "")
    keys = target / "root/.ssh/authorized_keys"
    assert keys.read_text().splitlines() == list(plain.root_keys)
    assert keys.read_text().endswith(f"\n{CONTROLLER}\n")
    assert (target / "etc/dropbear/initramfs/authorized_keys").read_text() == keys.read_text()
    assert stat.S_IMODE(keys.stat().st_mode) == 0o600
    assert "10.11.1.11 alba1.attic.example.org alba1" in (target / "etc/hosts").read_text()
    # BOOTIF: on its card, where initramfs-tools would else take any.
    assert (target / "etc/initramfs-tools/conf.d/metal").read_text() == (
        "IP=10.11.1.11::10.11.1.1:255.255.255.0:alba1\nBOOTIF=01-02-00-5e-00-01-01\n"
        "COMPRESSLEVEL=1\n"
    )
    script = target / "usr/local/sbin/metal-up"
    assert subprocess.run(["sh", "-n", script]).returncode == 0
    assert stat.S_IMODE(script.stat().st_mode) == 0o700
    assert "ExecStart=/usr/local/sbin/metal-up up" in (
        (target / "etc/systemd/system/metal-up.service").read_text()
    )
    assert (tmp_path / "log").read_text().splitlines() == [
        "in-target dpkg-divert --quiet --local --rename --remove /usr/sbin/update-initramfs",
        "in-target update-initramfs -c -k all",
        "in-target systemctl enable metal-up.service",
        "in-target /usr/local/sbin/metal-up finished",
    ]


@pytest.mark.skipif(not shutil.which("dropbearkey"), reason="needs dropbear-bin")
@pytest.mark.parametrize("phase", ["finished", "up"])
def test_a_report_is_proven_and_the_last_one_removes_its_script(templates, plain, tmp_path, phase):
    """The script as printed by the late command, run with real host keys."""
    script, keys = metal_up(templates, plain, tmp_path), host_keys(tmp_path)
    environment = stubs(
        tmp_path / "bin",
        openssl='echo "sha256 Fingerprint=AB:CD"',
        # Refused the first time, accepted the second.
        curl=f'printf "%s\n" "$*" >>{tmp_path}/log; [ "$(wc -l <{tmp_path}/log)" -ge 2 ]',
        sleep="exit 0",
        systemctl=f'echo "systemctl $*" >>{tmp_path}/log',
    )
    ran = subprocess.run(["sh", script, phase], env=environment, capture_output=True, text=True)
    assert (ran.returncode, ran.stderr) == (0, "")
    first, second, *rest = (tmp_path / "log").read_text().splitlines()
    told = {"fingerprint": "AB:CD" if phase == "up" else "", **keys}
    proof = proof_of(SECRETS["report_key"], phase, told)
    words = " ".join(f"--data-urlencode {name}={value}" for name, value in told.items())
    assert first == second
    assert first.endswith(f" {words} --data proof={proof} {BOOT}/report/{TOKEN}/{phase}")
    assert rest == (["systemctl disable metal-up.service"] if phase == "up" else [])
    assert script.exists() == (phase != "up")


@pytest.mark.skipif(not shutil.which("dropbearkey"), reason="needs dropbear-bin")
def test_a_plain_debian_is_up_without_a_certificate(templates, plain, tmp_path):
    """It has no Proxmox that makes one: it gets one when it is made a host."""
    packages = tuple(name for name in plain.packages if name != "proxmox-ve")
    script = metal_up(templates, plain.model_copy(update={"packages": packages}), tmp_path)
    host_keys(tmp_path)
    log = f'printf "%s\n" "$*" >>{tmp_path}/log'
    quiet = {"systemctl": "exit 0", "openssl": "exit 1", "sleep": "exit 1"}
    environment = stubs(tmp_path / "bin", curl=log, **quiet)
    ran = subprocess.run(["sh", script, "up"], env=environment, capture_output=True, text=True)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "--data-urlencode fingerprint= --data-urlencode host_key=ssh-" in (
        (tmp_path / "log").read_text()
    )


def hooks(templates, told, tmp_path, environment):
    """What the early command leaves for the installer to run; the new system is in "target"."""
    early = parse_preseed(render_preseed(templates, told, **SECRETS))["preseed/early_command"]
    folder = tmp_path / "d-i"
    command = early.replace("date -u -s", ": ").replace("/lib/", f"{folder}/")
    command = command.replace(f"/usr{folder}", str(folder))
    command = command.replace("/target", str(tmp_path / "target"))
    subprocess.run(["sh", "-c", command], env=environment, check=True)
    return [folder / hook for hook in HOOKS]


def test_dpkg_waits_for_no_disk_until_the_end(templates, plain, tmp_path):
    environment = stubs(tmp_path / "bin", wget="", chroot="exit 1", in_target="")
    mounted, _ = hooks(templates, plain, tmp_path, environment)
    subprocess.run(["sh", mounted], env=environment, check=True)
    option = tmp_path / "target/etc/dpkg/dpkg.cfg.d/metal"
    assert option.read_text() == "force-unsafe-io\n"
    undone(templates, tmp_path, environment)
    assert not option.exists()


def test_a_stand_in_builds_no_initramfs_until_the_end(templates, plain, tmp_path):
    """By the real dpkg-divert, which works in a folder as it does in a chroot."""
    there = 'root=$1; shift 2; exec dpkg-divert --root="$root" "$@"'
    target = tmp_path / "target"
    environment = stubs(
        tmp_path / "bin",
        wget="",
        chroot=there,
        in_target=f'shift; exec dpkg-divert --root={target} "$@"',
    )
    for folder in ("boot", "usr/sbin", "var/lib/dpkg/info", "var/lib/dpkg/updates"):
        (target / folder).mkdir(parents=True)
    (target / "var/lib/dpkg/status").touch()
    _, base = hooks(templates, plain, tmp_path, environment)
    subprocess.run(["sh", base], env=environment, check=True)

    program, kept = (target / f"usr/sbin/update-initramfs{end}" for end in ("", ".distrib"))
    kept.write_text("as dpkg unpacks what is diverted")
    (target / "boot/vmlinuz-6.12").touch()
    program.write_text(program.read_text().replace("/boot", f"{target}/boot"))
    subprocess.run([program, "-c", "-k", "6.12"], check=True)
    assert [file.stat().st_size for file in (target / "boot").glob("initrd.img-6.12")] == [0]

    for _ in range(2):  # an installer may run its last step again
        undone(templates, tmp_path, environment)
        assert program.read_text() == "as dpkg unpacks what is diverted" and not kept.exists()


def undone(templates, tmp_path, environment):
    script = templates.render("preseed/undo.sh").replace("/target", str(tmp_path / "target"))
    subprocess.run(["sh", "-c", script], env=environment, check=True)


@pytest.fixture
def listener():
    """Takes what is posted, and keeps the paths."""
    paths: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            paths.append(self.path)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing on the screen."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield SimpleNamespace(url=f"http://127.0.0.1:{server.server_port}", paths=paths)
        server.shutdown()


@pytest.mark.skipif(
    not all(map(shutil.which, ("busybox", "curl", "dropbearkey"))),
    reason="needs busybox-static, curl and dropbear-bin",
)
def test_reports_go_past_the_package_cache(templates, plain, tmp_path, listener):
    """The installer has it as its proxy, in the hooks' environment and in the chroot's."""
    told = plain.model_copy(update={"boot_url": listener.url})
    # Debian 12's busybox-static crashes over the installer's `-T`.
    busybox = 'for url; do :; done; exec busybox wget -q -O /dev/null --post-data= "$url"'
    proxied = {"http_proxy": "http://127.0.0.1:1/"}
    environment = stubs(tmp_path / "bin", wget=busybox, sleep="exit 1", chroot="exit 1") | proxied
    for hook in hooks(templates, told, tmp_path, environment):
        subprocess.run(["sh", hook], env=environment, check=True)
    script = metal_up(templates, told, tmp_path)
    host_keys(tmp_path)
    subprocess.run(["sh", script, "finished"], env=environment, check=True)
    assert listener.paths == [
        f"/report/{TOKEN}/{phase}" for phase in ("partitioned", "base", "finished")
    ]


def metal_up(templates, told, folder):
    """metal-up as the late command prints it, in `folder` in the place of /etc."""
    command = parse_preseed(render_preseed(templates, told, **SECRETS))["preseed/late_command"]
    print_script = command[command.index("printf '%s\\n' '#!/bin/sh'") :].split(" >/target")[0]
    text = subprocess.run(["sh", "-c", print_script], capture_output=True, text=True).stdout
    script = folder / "metal-up"
    text = text.replace("/usr/local/sbin/metal-up", str(script)).replace("/etc/", f"{folder}/")
    script.write_text(text)
    return script


def host_keys(etc):
    """What openssh-server and dropbear-initramfs make when they are installed, below `etc`."""
    (etc / "ssh").mkdir()
    (etc / "dropbear/initramfs").mkdir(parents=True)
    ssh, dropbear = etc / "ssh/ssh_host_ed25519_key", etc / "dropbear/initramfs"
    make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "root@alba1", "-f", ssh]
    subprocess.run(make, check=True)
    make = ["dropbearkey", "-t", "ed25519", "-f", dropbear / "dropbear_ed25519_host_key"]
    made = subprocess.run(make, check=True, capture_output=True, text=True).stdout
    lines = [*ssh.with_suffix(".pub").read_text().splitlines(), *made.splitlines()]
    host, initramfs = (" ".join(x.split()[:2]) for x in lines if x.startswith("ssh-"))
    return {"host_key": host, "initramfs_key": initramfs}


# ── nothing in the inventory breaks out of its line ─────────────────────────────────────────

hostile = st.one_of(
    st.text(max_size=30),
    st.text("ab1 '\"\\\n\r\t;&|$`(){}<>#%*?!~:/.@=,+-_", max_size=30),
    st.sampled_from(
        ["sda'; reboot; '", "x\nd-i passwd/root-password password x", "$(reboot)", "a \\", "`x`"]
    ),
)


def shape(text):
    """The first two words of every line: which questions are answered, in which order."""
    return [line.split()[:2] for line in text.splitlines() if line.startswith("d-i ")]


@settings(max_examples=150)
@given(value=hostile, where=st.sampled_from(["disk", "serial", "package", "mirror", "key", "url"]))
def test_no_text_of_the_inventory_adds_an_answer_or_a_command(value, where):
    templates, inventory = Templates([defaults()]), _INVENTORY
    action, mirror, boot = action_for(), MIRROR, BOOT
    match where:
        case "disk":
            action = action_for(disk=value)
        case "serial":
            action = action_for(disk_serial=value)
        case "package":
            profile = inventory.profiles["ceph-node"].model_copy(update={"packages": (value,)})
            inventory = inventory.model_copy(update={"profiles": {"ceph-node": profile}})
        case "mirror":
            mirror = "http://mirror.example.org/" + value
        case "url":
            boot = "http://" + value
        case "key":
            ana = inventory.administrators["ana"]
            ana = ana.model_copy(update={"keys": (*ana.keys, "ssh-rsa AAAA " + value)})
            inventory = inventory.model_copy(update={"administrators": {"ana": ana}})
    try:
        told = answers(inventory, action, mirror, boot)
        text = render_preseed(templates, told, **SECRETS)
        render_script(templates, told, TOKEN)
    except BadInput:
        return
    assert shape(text) == _SHAPE
    commands = parse_preseed(text)
    for name, baseline in _COMMANDS.items():
        # Quoted parts aside, the commands are those of the template.
        assert _unquoted(commands[name]) == _unquoted(baseline)


def _unquoted(command):
    """The command without what its quotes hold, nor the URLs that were checked."""
    import re

    command = re.sub(r"'[^']*'", "''", command)
    return re.sub(r"https?://[A-Za-z0-9./:~+_\[\]-]+", "URL", command).replace("'' ", "")


def _baseline():
    import runpy

    made = runpy.run_path(str(Path(__file__).with_name("conftest.py")))
    inventory = made["make_inventory"]()
    told = answers(inventory, action_for(), MIRROR, BOOT)
    text = render_preseed(Templates([defaults()]), told, **SECRETS)
    commands = {k: v for k, v in parse_preseed(text).items() if k.endswith("_command")}
    return inventory, shape(text), commands


_INVENTORY, _SHAPE, _COMMANDS = _baseline()


def test_proxmox_is_not_the_installers_affair(made):
    inventory = made.inventory()
    profile = inventory.profiles["ceph-node"].model_copy(update={"packages": ("proxmox-ve",)})
    other = inventory.model_copy(update={"profiles": {**inventory.profiles, "ceph-node": profile}})
    with pytest.raises(BadInput, match="forming the cluster installs"):
        answers(other, action_for(), "https://mirror.example.org", BOOT)
