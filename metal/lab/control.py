"""What people (and tests) do with a lab: up, status, break, down."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from metal.inventory import load
from metal.lab import topology
from metal.model.base import Frozen
from metal.model.errors import BadInput, Failed, Refused, Unreachable

START_SECONDS = 60
STOP_SECONDS = 15


class LabStatus(Frozen):
    """A running lab. `truth` is what really is, whatever `metal` believes."""

    folder: Path
    lab: int
    pid: int
    speed: float
    truth: dict[str, Any]


def up(source: Path, folder: Path, *, speed: float) -> LabStatus:
    """Start a lab as a copy of the workspace `source` in the new workspace `folder`.

    `speed`: lab seconds in a real one. Returns once every double answers.
    """
    if not 0 < speed <= 1000:
        raise BadInput(f"speed {speed:g}", mend="more than 0, at most 1000")
    folder = folder.absolute()
    topology.check_free(folder)
    load(source)  # Its mistakes by its own name and line, before anything is copied.
    (folder / "lab").mkdir(parents=True, exist_ok=True)
    with (folder / "lab" / "daemon.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "metal.lab.daemon", str(source.absolute()), folder, str(speed)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
        )
    assert process.stdout is not None
    with process.stdout as answer:
        line = answer.readline()
    _check_answer(line, process, folder)
    return status(folder)


def _check_answer(line: bytes, process: "subprocess.Popen[bytes]", folder: Path) -> None:
    said = json.loads(line) if line else {}
    if said.get("up"):
        return
    process.wait(STOP_SECONDS)
    if said:
        raise Refused(said["what"], where=said["where"], mend=said["mend"])
    raise Failed("the lab did not start", where=str(folder), mend="see lab/daemon.log in it")


def status(folder: Path) -> LabStatus:
    """How the lab in `folder` is; Refused if there is none, Unreachable if it died."""
    shape = topology.read(folder)
    truth = _ask(folder, shape, "GET", "/truth")
    return LabStatus(folder=folder, lab=shape.lab, pid=shape.pid, speed=shape.speed, truth=truth)


def break_(folder: Path, server: str, fault: str) -> None:
    """Let a fault happen to a server; metal/lab/rack.py lists them."""
    _ask(folder, topology.read(folder), "POST", f"/break/{server}/{fault}")


def down(folder: Path) -> None:
    """End the lab: no process is left. Its workspace stays, to be looked at."""
    shape = topology.read(folder)
    try:
        _ask(folder, shape, "POST", "/down")
    except Unreachable:
        (folder / "lab" / "topology.json").unlink(missing_ok=True)
        return
    deadline = time.monotonic() + STOP_SECONDS
    while _is_lab(shape.pid):
        if time.monotonic() > deadline:
            os.kill(shape.pid, signal.SIGKILL)
            break
        _reap(shape.pid)
        time.sleep(0.02)


def _ask(folder: Path, shape: topology.Topology, method: str, path: str) -> dict[str, Any]:
    import requests

    token = (folder / "lab" / "control.token").read_text()
    try:
        with requests.Session() as http:
            http.trust_env = False  # no proxy reaches the lab, which is here
            answer = http.request(
                method,
                f"http://{shape.control}{path}",
                headers={"Authorization": f"Bearer {token}"},
                timeout=30,
            )
    except requests.RequestException as error:
        raise Unreachable(
            "the lab does not answer",
            where=str(folder),
            mend="it may have been killed: `metal lab down` forgets it",
        ) from error
    said: dict[str, Any] = answer.json()
    if answer.status_code == 400:
        raise BadInput(said["what"], where=said["where"], mend=said["mend"])
    if not answer.ok:
        raise Refused(str(said.get("error", answer.status_code)), where=str(folder))
    return said


def _is_lab(pid: int) -> bool:
    """Whether that process is still a lab: ids are used again."""
    try:
        return b"metal.lab.daemon" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def _reap(pid: int) -> None:
    """Collect it if it was our own child; another's is not ours to wait for."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return
