"""The daemon of a lab of whole machines: python -m metal.lab.machines.daemon FOLDER."""

import json
import os
import signal
import sys
import threading
from pathlib import Path

from metal.lab.machines.lab import READY_SECONDS, machines
from metal.lab.machines.wire import Wire, until_said
from metal.lab.machines.workspace import Plan
from metal.lab.topology import MACHINES


def main(folder: Path) -> None:
    end = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: end.set())
    lab = folder / "lab"
    there = machines(folder)
    plan = Plan.read(folder)
    with Wire(lab, plan.addresses) as wire:
        told = {"daemon": os.getpid(), "wire": wire.name}
        (folder / MACHINES).write_text(json.dumps(told) + "\n")
        if plan.door:
            wire.door(plan.door)
        for machine in there:
            for tap in (machine.tap, *machine.cards.values()):
                assert wire.tap() == tap
            words = (sys.executable, "-m", "metal.lab.machines", str(machine.folder))
            log = f"{machine.name}-bmc.log"
            until_said(wire.start(log, *words), lab / log, "its BMC answers", READY_SECONDS)
        metal = (sys.executable, "-m", "metal", "-C", str(folder), "serve", "--site", plan.site)
        options = ("--interface", "br0", "--announce", "fd77::/64")
        served = wire.start("serve.log", *metal, *options)
        until_said(served, lab / "serve.log", "TFTP and HTTP", READY_SECONDS)
        print("up", flush=True)
        end.wait()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
