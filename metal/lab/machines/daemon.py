"""The daemon of a lab of whole machines: python -m metal.lab.machines.daemon FOLDER."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from metal.lab.machines.lab import machines
from metal.lab.machines.wire import Wire
from metal.lab.machines.workspace import ANNOUNCED, BMC_OURS, OURS
from metal.lab.topology import MACHINES
from metal.model.errors import Failed

DOOR = ("10.77.0.2/24", "10.78.0.2/24")
"""This machine's own addresses on the wire."""


def main(folder: Path) -> None:
    end = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: end.set())
    lab = folder / "lab"
    there = machines(folder)
    bmcs = tuple(f"{machine.bmc}/24" for machine in there)
    with Wire(lab, (OURS, BMC_OURS, *bmcs, ANNOUNCED)) as wire:
        told = {"daemon": os.getpid(), "wire": wire.name}
        (folder / MACHINES).write_text(json.dumps(told) + "\n")
        wire.door(DOOR)
        for machine in there:
            assert wire.tap() == machine.tap
            words = (sys.executable, "-m", "metal.lab.machines", str(machine.folder))
            _answers(wire.start(f"{machine.name}-bmc.log", *words), lab, machine.name + "-bmc.log",
                     "its BMC answers")  # fmt: skip
        metal = (sys.executable, "-m", "metal", "-C", str(folder), "serve", "--site", "here")
        options = ("--interface", "br0", "--announce", "fd77::/64")
        _answers(wire.start("serve.log", *metal, *options), lab, "serve.log", "TFTP and HTTP")
        print("up", flush=True)
        end.wait()


def _answers(child: "subprocess.Popen[bytes]", lab: Path, log: str, says: str) -> None:
    deadline = time.monotonic() + 60
    while says not in (text := (lab / log).read_text()):
        if child.poll() is not None or time.monotonic() > deadline:
            raise Failed(text.strip()[-300:] or "it says nothing", where=str(lab / log))
        time.sleep(0.05)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
