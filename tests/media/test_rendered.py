"""What is on a medium, as recorded: grub.cfg, the fetch script, the preseed it leads to."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from metal.drivers.authority import Authority
from metal.install.answers import answers
from metal.install.derived import marker_of
from metal.install.medium import trust
from metal.install.render import Templates, render_fetch, render_grub, render_preseed
from metal.inventory.defaults import defaults
from metal.lab.preseeding import parse_preseed
from metal.model.plan import InstallServer, Risk

GOLDEN = Path(__file__).parent / "golden"
TOKEN = "T0k3n-of_the_install-0123456789abcdefghijklm"
CA = "-----BEGIN CERTIFICATE-----\nMIIB\nAAAA\n-----END CERTIFICATE-----\n"
SECRETS = {
    "passphrase": "k3y0fthed1sk" + "x" * 20,
    "root_hash": "$2b$08$" + "a" * 53,
    "token": TOKEN,
    "report_key": "0123456789abcdef" * 4 + "fedcba9876543210" * 4,
    "now": 1_795_000_000,
}
NETWORKS = {
    "v4": ({}, "https://10.77.0.1:8443"),
    "v6": (
        {"management": "fd77::/64", "gateway": "fd77::1", "address": "fd77::11"},
        "https://[fd77::1]:8443",
    ),
}


@pytest.fixture(params=NETWORKS)
def told(request, written):
    """(name of the network, the answers on a medium there)."""
    site, url = NETWORKS[request.param]
    action = InstallServer(
        what="install", why="why", risk=Risk.DESTROYS, server="alba1", site="here", profile="solo",
        debian="trixie", mac="52:54:00:00:00:77", disk="sda", disk_serial="DISK0001",
        route="stick",
    )  # fmt: skip
    inventory = written(**site).inventory
    return request.param, answers(inventory, action, "http://m.example.org/debian", url, None, CA)


def check_golden(name, text):
    file = GOLDEN / name
    if os.environ.get("METAL_GOLDEN"):
        file.write_text(text)
    assert text == file.read_text(), f"if that is wanted: METAL_GOLDEN=1 pytest {__file__}"


def test_golden_grub(told):
    name, answers = told
    check_golden(f"{name}-grub.cfg", render_grub(Templates([defaults()]), answers, TOKEN))


def test_golden_fetch_script(told):
    name, answers = told
    check_golden(f"{name}-fetch.sh", render_fetch(Templates([defaults()]), answers))


def test_the_kernel_gets_its_address_and_where_to_ask(told):
    _name, answers = told
    text = render_grub(Templates([defaults()]), answers, TOKEN)
    (line,) = re.findall(r"^ +linux (.*)$", text, re.M)
    words = line.replace("'", "").split()
    assert f"netcfg/get_ipaddress={answers.address}" in words
    assert f"url={answers.boot_url}/preseed/{TOKEN}" in words
    assert len(words) < 33, "the kernel panics at more than 32"
    assert f"--file /{marker_of(TOKEN)}" in text


@pytest.mark.skipif(not shutil.which("grub-script-check"), reason="no grub-script-check here")
def test_grub_can_read_it(told, tmp_path):
    file = tmp_path / "grub.cfg"
    file.write_text(render_grub(Templates([defaults()]), told[1], TOKEN))
    ran = subprocess.run(["grub-script-check", file], capture_output=True, text=True)
    assert (ran.returncode, ran.stderr) == (0, "")


def test_golden_preseed(told):
    """Reports go by HTTPS, and the medium's mark is left in /boot."""
    name, answers = told
    text = render_preseed(Templates([defaults()]), answers, **SECRETS)
    check_golden(f"{name}.cfg", text)
    late = parse_preseed(text)["preseed/late_command"]
    assert f"touch /target/boot/{marker_of(TOKEN)}" in late
    for command in (c for c in text.splitlines() if "wget -q" in c or "curl -" in c):
        assert "SSL_CERT_FILE=/metal/ca.pem" in command or "--cacert" in command


@pytest.mark.skipif(not shutil.which("debconf-set-selections"), reason="no debconf here")
@pytest.mark.parametrize("name", ["v4.cfg", "v6.cfg"])
def test_debconf_accepts_the_preseed(name):
    check = ["debconf-set-selections", "--checkonly", GOLDEN / name]
    ran = subprocess.run(check, capture_output=True, text=True)
    assert (ran.returncode, ran.stderr) == (0, "")


# ── How the installer fetches: the real script, wget put in its place ────────────────────────

FAKE_WGET = """#!/bin/sh
echo "$SSL_CERT_FILE $*" >>"$LOG"
code=$(head -n 1 "$CODES"); sed -i 1d "$CODES"
exit "$code"
"""


@pytest.fixture
def fetch(told, tmp_path):
    """fetch(url, exit codes of wget in turn) → (exit code, wget's calls, what the console got)."""
    _name, answers = told
    script = render_fetch(Templates([defaults()]), answers)
    console, log, codes = tmp_path / "console", tmp_path / "log", tmp_path / "codes"
    (tmp_path / "http").write_text('protocol_fetch() { echo "plain $1" >>"$LOG"; }\n')
    script = script.replace(">/dev/console", f">>{console}").replace("sleep 15", ":")
    script = script.replace("/usr/lib/fetch-url/http", str(tmp_path / "http"))
    wget = tmp_path / "wget"
    wget.write_text(FAKE_WGET)
    wget.chmod(0o755)

    def run(url, *answers_of_wget):
        codes.write_text("".join(f"{code}\n" for code in answers_of_wget))
        console.write_text("")
        log.write_text("")
        env = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "LOG": str(log), "CODES": str(codes)}
        text = f'set -e\nurl="{url}"\n{script}\nprotocol_fetch "$url" out\n'
        ran = subprocess.run(["sh", "-c", text], env=env, capture_output=True, text=True)
        assert ran.stderr == ""
        return ran.returncode, log.read_text().splitlines(), console.read_text()

    run.base = answers.boot_url
    return run


def test_a_boot_service_that_is_away_is_asked_until_it_answers(fetch):
    code, calls, console = fetch(f"{fetch.base}/preseed/x", 4, 5, 0)
    assert code == 0
    assert len(calls) == 3
    assert all(call.startswith("/metal/ca.pem ") for call in calls)
    assert "does not answer; trying again" in console
    assert "not of this medium's authority" in console


def test_a_medium_that_was_used_says_so(fetch):
    code, calls, console = fetch(f"{fetch.base}/preseed/x", 8)
    assert (code, len(calls)) == (4, 1)
    assert "make a new one" in console


def test_a_mirror_is_fetched_from_as_ever(fetch):
    url = "https://mirror.example.org/debian"
    assert fetch(url) == (0, [f"plain {url}"], "")


def test_the_second_initrd_unpacks(told, tmp_path):
    if not shutil.which("cpio"):
        pytest.skip("no cpio here")
    answers = told[1].model_copy(update={"ca": Authority(tmp_path / "tls").certificate})
    content = trust(Templates([defaults()]), answers)
    subprocess.run(["cpio", "-id", "--quiet"], input=content, cwd=tmp_path, check=True)
    assert (tmp_path / "metal" / "ca.pem").read_text() == answers.ca
    assert answers.boot_url in (tmp_path / "usr/lib/fetch-url/https").read_text()
