"""The live system on a simulated server: the agent's protocol, with evidence made from what the
machine is and from what is wrong with it.

What it tells has the shapes of metal/live/agent; how it gets there takes lab seconds.
"""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from metal.lab.live_evidence import cpu, disk, kernel, memory, nics, sensors
from metal.lab.machine import Machine
from metal.live.agent.talk import LONGEST_PAUSE
from metal.live.build import LiveImage

LONGEST = 60.0
"""Lab seconds of a burn-in, whatever it tells: nothing can be found in more."""
SHARES = {"memory": 0.4, "cpu": 0.25, "disks": 0.35}
ERASE_SECONDS = 20.0
KEY = "1ab0000000000000"


class Gone(Exception):
    """The controller does not want this job (any more)."""


class Wire(Protocol):
    """How the simulated machine reaches the boot service; both end when its power goes."""

    def pause(self, seconds: float) -> None: ...
    def fetch(self, url: str) -> dict[str, Any] | None:
        """The JSON there; None when there is none for it."""

    def post(self, url: str, body: dict[str, Any]) -> bool:
        """False without an answer; Gone when the controller does not want it."""


class PretendLive:
    """One boot of the live system."""

    def __init__(self, machine: Machine, wire: Wire, url: str, token: str) -> None:
        self._machine, self._wire = machine, wire
        self._base = f"{url}/job/{token}"

    def perform(self) -> None:
        """Fetch the job and do it; without one there is nothing to do."""
        job = self._wire.fetch(self._base)
        if job is None:
            return
        act = {"burnin": self._burn_in, "wipe": self._wipe}[job["kind"]]
        try:
            act(job)
            self._surely(f"{self._base}/end", {"ok": True})
        except Gone:
            return

    def _burn_in(self, job: dict[str, Any]) -> None:
        machine, asked = self._machine, 60.0 * job["minutes"]
        self._progress("inventory", 0.02, "looking what is there")
        done = 0.05
        parts: dict[str, Callable[[], None]] = {
            "memory": lambda: self._evidence("memory", memory(machine, asked)),
            "cpu": lambda: self._processors(asked),
            "disks": lambda: self._disks(job),
        }
        for phase, share in SHARES.items():
            self._progress(phase, done, "")
            self._wire.pause(min(LONGEST, asked) * share)
            parts[phase]()
            done += 0.9 * share
        self._progress("network", 0.96, "")
        self._evidence("nics", nics(machine))
        self._evidence("kernel", kernel(machine))

    def _processors(self, seconds: float) -> None:
        self._evidence("cpu", cpu(seconds))
        self._evidence("sensors", sensors())

    def _disks(self, job: dict[str, Any]) -> None:
        drives = self._machine.hardware.drives
        self._evidence("disks", {"count": len(drives)})
        for number, drive in enumerate(drives):
            told = disk(self._machine, drive, job.get("overwrite", []))
            self._evidence(f"disk-{number:03d}", told)

    def _wipe(self, job: dict[str, Any]) -> None:
        by_serial = {d.serial: d for d in self._machine.hardware.drives}
        for number, serial in enumerate(job["serials"]):
            self._progress("wipe", number / len(job["serials"]), serial)
            drive = by_serial.get(serial)
            if drive is None:
                said: dict[str, Any] = {"why": "no disks there have that serial number"}
            else:
                began, smart = _now(), disk(self._machine, drive, [])["smart"]
                self._wire.pause(ERASE_SECONDS)
                self._machine.disks[drive.name].erase()
                said = {
                    "model": drive.model,
                    "size_bytes": drive.size_bytes,
                    "smart": smart,
                    "method": "ATA secure erase",
                    "began": began,
                    "ended": _now(),
                    "verified": "zeros",
                    "samples": 256,
                    "tried": [],
                }
            self._evidence(f"wiped-{number:03d}", {"serial": serial, **said})

    def _progress(self, phase: str, fraction: float, text: str) -> None:
        told = {"phase": phase, "fraction": fraction, "text": text}
        with suppress(Gone):  # as the agent does: what was found is another matter
            self._wire.post(f"{self._base}/progress", told)

    def _evidence(self, name: str, body: dict[str, Any]) -> None:
        self._surely(f"{self._base}/evidence/{name}", body)

    def _surely(self, url: str, body: dict[str, Any]) -> None:
        """As the agent does: it waits for a controller that is away, however long."""
        pause = 1.0
        while not self._wire.post(url, body):
            self._wire.pause(pause)
            self._machine.waited += pause
            pause = min(LONGEST_PAUSE, pause * 2)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def put_image(state: Path) -> None:
    """A live system for a lab's workspace: its servers download it, and pretend to run it."""
    from metal.lab.mirror import content

    folder = state / "live" / KEY
    folder.mkdir(parents=True, exist_ok=True)
    linux, initrd = (content("trixie", name) for name in ("linux", "initrd.gz"))
    (folder / "linux").write_bytes(linux)
    (folder / "initrd").write_bytes(initrd)
    image = LiveImage(
        key=KEY,
        suite="trixie",
        mirror="the lab",
        built="2026-11-20T00:00:00+00:00",
        kernel="pretended",
        linux_bytes=len(linux),
        initrd_bytes=len(initrd),
        packages={},
    )
    (folder / "manifest.json").write_text(image.model_dump_json(indent=2))
    current = folder.parent / "current"
    if not current.is_symlink():
        current.symlink_to(KEY)
