"""`metal media SERVER`: the image, read back with xorriso; and when there is none."""

import stat
import subprocess
from dataclasses import dataclass

import pytest

from metal.cli import main
from metal.install.derived import hash_of, marker_of


@dataclass
class Ran:
    exit_code: int
    output: str


@pytest.fixture
def metal(capsys, monkeypatch, tmp_path):
    """The command, in a folder of the test's own."""
    monkeypatch.chdir(tmp_path)

    def run(workspace, *words):
        code = main(["-C", str(workspace.folder), *words])
        return Ran(code, "".join(capsys.readouterr()))

    return run


def read(image, name, into):
    """A file of the image."""
    out = into / name.replace("/", "_")
    words = ["xorriso", "-indev", image, "-osirrox", "on", "-extract", f"/{name}", out]
    subprocess.run(words, check=True, capture_output=True)
    return out.read_bytes()


def report(image):
    reports = ("-report_el_torito", "plain", "-report_system_area", "plain")
    words = ["xorriso", "-indev", image, *reports]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


@pytest.mark.usefixtures("engines")
def test_the_image_of_an_open_install(metal, written, opened, installer, tmp_path):
    workspace = written()
    token = opened(workspace)
    installer(workspace)
    out = tmp_path / "stick.iso"
    ran = metal(workspace, "media", "alba1", "--out", str(out))
    assert ran.exit_code == 0, ran.output
    assert "installs alba1 at 10.77.0.11 from https://127.0.0.1:" in ran.output
    assert stat.S_IMODE(out.stat().st_mode) == 0o600, "the token is in it"

    grub = read(out, "boot/grub/grub.cfg", tmp_path).decode()
    assert f"url='{workspace.boot_https_url}/preseed/{token}'" in grub
    assert read(out, f".disk/{marker_of(token)}", tmp_path) == b""
    for name in ("linux", "initrd.gz"):
        kept = workspace.state / "installer" / "trixie" / name
        assert read(out, name, tmp_path) == kept.read_bytes()
    trusted = read(out, "metal.cpio", tmp_path)
    assert workspace.authority.certificate.encode() in trusted
    assert b"PRIVATE" not in out.read_bytes()
    assert workspace.secrets.reveal("disk/alba1").encode() not in out.read_bytes()

    says = report(out)
    assert "BIOS  y" in says and "UEFI  y" in says, "as a disc"
    assert ("grub2-mbr" in says and "EFI boot partition" in says) or "45004600490020" in says
    assert "System area summary: MBR" in says and "GPT" in says, "as a stick"
    assert [f.name for f in tmp_path.iterdir() if f.name.startswith(".iso-")] == []


def test_without_an_open_install_there_is_nothing_to_begin(metal, written):
    ran = metal(written(), "media", "alba1")
    assert ran.exit_code == 3
    assert "no install of it is open" in ran.output and " plan, then metal" in ran.output


def test_a_server_that_nobody_knows(metal, written):
    assert metal(written(), "media", "alba9").exit_code == 2


def test_an_install_over_the_network_has_no_medium(metal, written, opened, tmp_path):
    workspace = written()
    file = tmp_path / "inventory.toml"
    file.write_text(file.read_text().replace('dhcp = "none"', 'dhcp = "ours"'))
    workspace.reload()
    opened(workspace, route="pxe")
    ran = metal(workspace, "media", "alba1")
    assert ran.exit_code == 3 and "goes by pxe" in ran.output


def test_an_install_that_took_its_answers_gets_no_second_medium(metal, written, opened, installer):
    workspace = written()
    token = opened(workspace)
    installer(workspace)
    workspace.store.installs.take(hash_of(token))
    ran = metal(workspace, "media", "alba1")
    assert ran.exit_code == 3 and "wiped at most once" in ran.output


def test_an_installer_that_was_not_fetched(metal, written, opened):
    workspace = written()
    opened(workspace)
    ran = metal(workspace, "media", "alba1")
    assert ran.exit_code == 1 and "the installer of trixie is not there" in ran.output


def test_without_https_no_medium_is_planned(metal, written, tmp_path):
    workspace = written()
    file = tmp_path / "inventory.toml"
    lines = [li for li in file.read_text().splitlines() if "boot_https_listen" not in li]
    file.write_text("\n".join(lines))
    ran = metal(workspace, "plan")
    assert 'boot_https_listen = "0.0.0.0:8443"' in ran.output, ran.output


@pytest.mark.usefixtures("engines")
def test_a_missing_engine_is_named(metal, written, opened, installer, monkeypatch, tmp_path):
    workspace = written()
    opened(workspace)
    installer(workspace)
    assert workspace.controller_key
    monkeypatch.setenv("PATH", str(tmp_path))
    ran = metal(workspace, "media", "alba1")
    assert ran.exit_code == 3
    assert "grub-mkimage is not installed" in ran.output and "apt install xorriso" in ran.output
