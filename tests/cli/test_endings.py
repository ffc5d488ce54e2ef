"""How commands end: exit codes, one shape of error, nothing heavy for --help, quiet pipes."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from requests.utils import get_environ_proxies

from metal.cli import _spare_loopback

BAD_INPUT, REFUSED, UNREACHABLE = 2, 3, 4
HEAVY = (
    "sqlalchemy pydantic textual rich requests starlette uvicorn pyghmi proxmoxer alembic jinja2"
)


def ended(said, code: int, *words: str) -> None:
    assert said.code == code, said.err
    assert said.err.startswith("metal: ") and "Traceback" not in said.err
    for word in words:
        assert word in said.err


def test_no_workspace(metal, tmp_path: Path) -> None:
    ended(metal("-C", str(tmp_path), "check"), BAD_INPUT, "no inventory.toml", "metal init")


@pytest.mark.parametrize("named", [".lba", "profiles", "README", "../nowhere"])
def test_a_mistyped_lab_is_not_the_fleet_above_it(
    metal, workspace: Path, monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    monkeypatch.chdir(workspace)
    (workspace / "README").touch()
    ended(metal("-C", named, "server", "list"), BAD_INPUT, named, "no inventory.toml there")
    monkeypatch.setenv("METAL_WORKSPACE", named)
    ended(metal("server", "list"), BAD_INPUT, named, "no inventory.toml there")


def test_without_a_name_the_workspace_is_the_one_we_are_in(
    metal, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(workspace / "profiles")
    assert metal("server", "list").code == 0


def test_what_is_advised_means_the_same_workspace(metal, workspace: Path) -> None:
    """Copied from a lab it would reach the real fleet."""
    said = metal("-C", str(workspace), "enroll")
    ended(said, BAD_INPUT, f"→ metal -C {workspace} enroll --all")
    said = metal("-C", str(workspace), "run", "show", "7")
    ended(said, BAD_INPUT, f"→ metal -C {workspace} run list")


def test_every_mistake_at_once_with_its_place(metal, workspace: Path) -> None:
    file = workspace / "inventory.toml"
    text = file.read_text().replace('size = "tiny"', 'sise = "tiny"', 1)
    file.write_text(text.replace('site = "genoa"', 'site = "genova"', 1))
    said = metal("-C", str(workspace), "check")
    assert said.code == BAD_INPUT
    lines = text.splitlines()
    line = next(n for n, row in enumerate(lines, 1) if row.startswith("sise"))
    assert f"inventory.toml:{line}:1: " in said.err and "size" in said.err
    assert "genova" in said.err and "genoa" in said.err
    told = json.loads(metal("-C", str(workspace), "-o", "json", "check").out)
    assert {m["line"] for m in told} >= {line}


def test_a_command_that_was_meant(metal) -> None:
    ended(metal("enrol"), BAD_INPUT, "did you mean 'enroll'")


def test_an_unknown_option(metal) -> None:
    ended(metal("plan", "--outt", "x"), BAD_INPUT, "--out")


@pytest.mark.parametrize(
    "words",
    [
        ("enroll", "--dry-run", "root:calvin-0@10.0.0.5"),
        ("enroll", "--dry-run", "https://root:calvin-0@10.0.0.5:8443/redfish/v1"),
        ("enroll", "--dry-run", "--scan", "root:calvin-0@10.0.0.0/24"),
        ("enroll", "--dry-run", "--file", "root:calvin-0@10.0.0.5"),
        ("enroll", "--dry-run", "10.0.0.5", "--site", "x", "--port", "root:calvin-0@10.0.0.5"),
        ("bmc", "capture", "root:calvin-0@10.0.0.5"),
        ("bmc", "audit", "root:calvin-0@10.0.0.5"),
        ("power", "status", "root:calvin-0@10.0.0.5"),
        ("root:calvin-0@10.0.0.5",),
    ],
)
def test_a_password_that_was_typed_is_not_repeated(metal, workspace: Path, words) -> None:
    said = metal("-C", str(workspace), *words)
    ended(said, BAD_INPUT)
    assert "calvin" not in said.out + said.err


def test_an_unknown_server(metal, workspace: Path, monkeypatch) -> None:
    monkeypatch.setenv("METAL_BMC_USER", "ADMIN")
    monkeypatch.setenv("METAL_BMC_PASSWORD", "x")
    ended(metal("-C", str(workspace), "enroll", "alba9"), BAD_INPUT, "alba9", "inventory")


def test_no_credentials(real, workspace: Path) -> None:
    said = real("-C", str(workspace), "enroll", "alba1", METAL_BMC_USER="", METAL_BMC_PASSWORD="")
    assert said.returncode == BAD_INPUT
    assert "METAL_BMC_USER" in said.stderr


def test_credentials_that_others_may_read(metal, workspace: Path) -> None:
    file = workspace / "credentials"
    file.write_text("ADMIN:secret\n")
    file.chmod(0o644)
    said = metal("-C", str(workspace), "enroll", "alba1", "--credentials", str(file))
    ended(said, REFUSED, "chmod 600")
    assert "secret" not in said.err


def test_nobody_answers_at_the_bmc(metal, workspace: Path, monkeypatch) -> None:
    monkeypatch.setenv("METAL_BMC_USER", "ADMIN")
    monkeypatch.setenv("METAL_BMC_PASSWORD", "x")
    file = workspace / "inventory.toml"
    text = file.read_text().replace('address = "10.11.0.11"', 'address = "127.113.0.11", port = 9')
    file.write_text(
        text.replace('bmc = "10.11.0.0/24"', 'bmc = "127.113.0.0/24"').replace(
            'address = "10.11.0.1', 'address = "127.113.0.1'
        )
    )
    said = metal("-C", str(workspace), "enroll", "alba1")
    assert said.code == UNREACHABLE, said.err


def test_a_file_that_is_no_plan(metal, workspace: Path) -> None:
    (workspace / "plan.json").write_text('{"actions": 3}')
    said = metal("-C", str(workspace), "apply", str(workspace / "plan.json"), "--yes")
    ended(said, BAD_INPUT, "is no plan")


def test_an_edited_plan_is_judged_again(metal, workspace: Path) -> None:
    from metal.controller.look import look
    from metal.controller.workspace import Workspace
    from metal.model.plan import InstallServer, Plan, Risk, fingerprint

    opened = Workspace.open(workspace)
    world = look(opened)
    wipe = InstallServer(
        what="install", why="edited", risk=Risk.SAFE, server="alba1", site="lisbon",
        profile="ceph-node", debian="trixie", mac="02:00:5e:00:00:01", disk="sdz",
    )  # fmt: skip
    plan = Plan(fingerprint=fingerprint(opened.inventory, world), actions=(wipe,))
    (workspace / "plan.json").write_text(plan.model_dump_json())
    said = metal("-C", str(workspace), "apply", str(workspace / "plan.json"), "--yes")
    ended(said, REFUSED, "would break")


def test_nobody_to_ask(real, workspace: Path) -> None:
    from metal.model.plan import Plan, Risk, StartVm

    start = StartVm(
        what="start mail1", why="it is stopped", risk=Risk.SAFE, vm="mail1", vmid=100,
        cluster="alba", server="alba1",
    )  # fmt: skip
    plan = Plan(fingerprint="0" * 64, actions=(start,))
    (workspace / "plan.json").write_text(plan.model_dump_json())
    said = real("-C", str(workspace), "apply", str(workspace / "plan.json"))
    assert said.returncode == REFUSED and "--yes" in said.stderr


def test_a_state_file_of_a_newer_version(metal, looked: Path) -> None:
    with sqlite3.connect(looked / "state" / "metal.db") as database:
        database.execute("update metal_version set version_num = '9999'")
    ended(metal("-C", str(looked), "status", "--last"), REFUSED, "newer")


def test_a_defect_leaves_a_report_for_its_owner_alone(metal, looked: Path) -> None:
    with sqlite3.connect(looked / "state" / "metal.db") as database:
        database.execute("update looks set body = '{'")
    said = metal("-C", str(looked), "status", "--last")
    assert said.code == 1 and "Traceback" not in said.err
    log = looked / "state" / "crash.log"
    assert log.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("words", [("--help",), ("plan", "--help"), ("apply", "--help")])
def test_help_imports_nothing_heavy(words: tuple[str, ...]) -> None:
    code = (
        "import sys; from metal.cli import main; main(sys.argv[1:]);"
        f"print('HEAVY', [m for m in {HEAVY.split()!r} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "HEAVY []"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(metal, shell: str) -> None:
    said = metal("completion", shell)
    assert said.code == 0 and "_METAL_COMPLETE" in said.out
    if shell == "bash":
        assert subprocess.run(["bash", "-n"], input=said.out, text=True).returncode == 0


def test_server_names_complete(real, workspace: Path) -> None:
    said = real(
        _METAL_COMPLETE="bash_complete",
        COMP_WORDS=f"metal -C {workspace} drain bor",
        COMP_CWORD="4",
    )
    assert {"bora1", "bora2", "bora3"} <= {w.partition(",")[2] for w in said.stdout.split()}


def test_a_reader_that_has_enough_is_no_error(looked: Path) -> None:
    command = f"{sys.executable} -m metal -C {looked} status --last --vms | head -n 1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, env=os.environ)
    assert done.stderr == "" and done.stdout.startswith("VM")


def test_init_makes_a_workspace_and_overwrites_none(metal, tmp_path: Path) -> None:
    assert metal("init", str(tmp_path / "new")).code == 0
    said = metal("-C", str(tmp_path / "new"), "check")
    assert said.code == 0 or "public key" in said.err
    assert metal("init", str(tmp_path / "new")).code in (BAD_INPUT, REFUSED)


@pytest.mark.parametrize(("words", "code"), [("--version", 0), ("no-such-verb", BAD_INPUT)])
def test_a_call_that_hangs_in_libvirt_does_not_hold_up_the_end(words: str, code: int) -> None:
    """All is said, what wants to end in order ends, and a thread that never comes back is left."""
    program = (
        "import atexit, socket, sys, threading\n"
        "sys.modules.setdefault('libvirt', sys)\n"
        "here, there = socket.socketpair()\n"
        "threading.Thread(target=here.recv, args=(1,)).start()\n"
        "atexit.register(print, 'in order')\n"
        "from metal.cli import run\n"
        "run()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, words], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == code
    assert done.stdout.splitlines()[-1] == "in order"
    assert done.stderr.startswith("metal: ") is (code != 0)


@pytest.mark.parametrize(("kept", "outside"), [("", False), ("example.org", True), ("*", True)])
def test_no_proxy_reaches_what_listens_here_and_what_was_spared_stays_spared(
    monkeypatch: pytest.MonkeyPatch, kept: str, outside: bool
) -> None:
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("NO_PROXY", kept)
    monkeypatch.setenv("http_proxy", "http://192.0.2.1:3128")
    _spare_loopback()
    for host in ("127.0.0.1", "[::1]", "localhost"):
        assert not get_environ_proxies(f"http://{host}:8000/").get("http")
    assert (not get_environ_proxies("http://example.org/").get("http")) is outside
