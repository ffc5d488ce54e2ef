"""The daemon of a lab of whole machines: python -m metal.lab.machines.daemon FOLDER."""

import json
import os
import signal
import sys
import threading
from pathlib import Path

from metal.lab.machines.lab import READY_SECONDS, machines
from metal.lab.machines.wire import Wire, until_said
from metal.lab.machines.workspace import ANNOUNCED, BMC_OURS, OURS
from metal.lab.topology import MACHINES

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
            log = f"{machine.name}-bmc.log"
            until_said(wire.start(log, *words), lab / log, "its BMC answers", READY_SECONDS)
        metal = (sys.executable, "-m", "metal", "-C", str(folder), "serve", "--site", "here")
        options = ("--interface", "br0", "--announce", "fd77::/64")
        served = wire.start("serve.log", *metal, *options)
        until_said(served, lab / "serve.log", "TFTP and HTTP", READY_SECONDS)
        print("up", flush=True)
        end.wait()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
