"""`metal lab`: a virtual rack whose servers answer over the real protocols."""

import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import click

from metal.cli.complete import servers
from metal.cli.face import Face
from metal.cli.lazy import Verb
from metal.cli.numbers import Finite
from metal.model.errors import BadInput

if TYPE_CHECKING:
    from metal.lab.control import LabStatus
    from metal.lab.machines.lab import MachinesStatus
    from metal.lab.namespaces.workspace import TrioStatus
    from metal.lab.redfish_bmc import RedfishBmc

FOLDER = click.argument(
    "folder", type=click.Path(file_okay=False, path_type=Path), default=Path(".lab")
)


@click.group("lab")
def command() -> None:
    """A virtual rack to try all of it on.

    FOLDER is the lab's own workspace (.lab unless you name another). Work on it with
    `metal -C FOLDER`. Three engines:

    \b
    simulated   a copy of your inventory whose servers are doubles on loopback
                addresses, from enrolment to the cluster; needs no root
    namespaces  the trio: three servers in namespaces with real libvirtd, QEMU and
                IPMI, in a cluster already; as root
    machines    whole machines with BIOS, UEFI and a TPM, each with an empty disk
                and a BMC, beside the boot service: to install them; as root.
                With --site the servers of a site of your inventory instead
    """


@command.command("up", cls=Verb)
@FOLDER
@click.option(
    "--speed",
    type=Finite(min=0, min_open=True, max=1000),
    default=20.0,
    metavar="TIMES",
    help="How fast the clock of the simulated one runs.  [default: 20]",
)
@click.option(
    "--engine",
    type=click.Choice(["simulated", "namespaces", "machines"]),
    default="simulated",
    help="What the servers are made of.  [default: simulated]",
)
@click.option(
    "--ceph", is_flag=True, help="Of namespaces: the VMs' disks in a real Ceph of the servers."
)
@click.option(
    "--site",
    metavar="SITE",
    help="Of machines: those of this site of your inventory, one site a lab.",
)
@click.pass_obj
def up(face: Face, folder: Path, speed: float, engine: str, ceph: bool, site: str | None) -> None:
    """Bring a virtual rack up.

    Simulated: the servers of this workspace's inventory, as doubles.
    """
    if ceph and engine != "namespaces":
        raise BadInput(
            "only the servers of namespaces have a real Ceph",
            where="--ceph",
            mend="add --engine namespaces; the simulated ones' double has a Ceph of its own",
        )
    if site and engine != "machines":
        raise BadInput(
            "only whole machines are those of one site",
            where="--site",
            mend="add --engine machines; the simulated ones are your whole inventory",
        )
    if engine == "namespaces":
        from metal.lab.namespaces import workspace

        _show_trio(face, workspace.up(folder, ceph=ceph))
        face.say(f"make its VMs with: metal -C {folder} apply")
        return
    if engine == "machines":
        from metal.lab.machines import lab

        seen = lab.up(folder, face.open().folder if site else None, site or "")
        enter = f"ip netns exec {seen.inside} " if seen.inside else ""
        _show_machines(face, seen)
        face.say(f"install them with: metal -C {folder} live build; {enter}metal -C {folder} apply")
        face.say(f"log in to one with: {enter}ssh -i {folder}/lab/administrator root@ADDRESS")
        return
    from metal.lab.control import up
    from metal.lab.topology import FACTORY_PASSWORD, FACTORY_USER, scans

    source = face.open().folder
    _show(face, up(source, folder, speed=speed))
    ways = [f"  metal -C {folder} enroll --scan {net}" for net in scans(folder)]
    face.say(
        f"work on it with: metal -C {folder} enroll --all\n"
        + "\n".join(["or find its BMCs, site by site:", *ways] if ways else [])
        + "\n"
        f"its BMCs were delivered with the user {FACTORY_USER}, password {FACTORY_PASSWORD}"
    )


@command.command("status", cls=Verb)
@FOLDER
@click.pass_obj
def status(face: Face, folder: Path) -> None:
    """What really is in the lab, whatever metal believes."""
    if (trio := _trio(folder)) is not None:
        _show_trio(face, trio.status(folder))
        return
    if (lab := _machines(folder)) is not None:
        _show_machines(face, lab.status(folder))
        return
    from metal.lab.control import status

    _show(face, status(folder))


@command.command("break", cls=Verb)
@click.argument("server", shell_complete=servers)
@click.argument("fault")
@FOLDER
@click.pass_obj
def break_(face: Face, server: str, fault: str, folder: Path) -> None:
    """Let a fault happen to SERVER.

    \b
    crash       the system hangs: no answer from it, the BMC says on (in the trio:
                all in it dies, and it is off)
    dead        the power supply burns out: the BMC says off, and on does nothing
    bmc-silent  the BMC answers nobody
    repair      everything is well again
    Of a simulated server only:
    psu         a power supply fails: the server runs on, its BMC complains
    disk-smart  its last disk has sectors that cannot be read: a burn-in finds it
    disk-slow   its last disk is slower than its brothers: a burn-in finds it
    dimm        its second DIMM corrects errors all the time: a burn-in finds it
    Of the trio only:
    partition   its network cable is pulled: it runs on, its BMC answers
    hot         its CPU is too hot, which its BMC says
    dark        server and BMC lose their power together
    """
    if (trio := _trio(folder)) is not None:
        trio.break_(folder, server, fault)
    elif _machines(folder) is not None:
        raise BadInput(
            "no faults are made in a lab of machines",
            where=server,
            mend=f"cut its power with: metal -C {folder} power off {server}",
        )
    else:
        from metal.lab.control import break_

        break_(folder, server, fault)
    face.say(f"{server}: {fault}")


@command.command("down", cls=Verb)
@FOLDER
@click.pass_obj
def down(face: Face, folder: Path) -> None:
    """Stop the lab. A simulated one's folder stays, to be looked at; of the others nothing does."""
    if (real := _trio(folder) or _machines(folder)) is not None:
        real.down(folder)
        face.say(f"the lab in {folder} is gone, and the folder with it")
        return
    from metal.lab.control import down

    down(folder)
    face.say(f"the lab in {folder} is down; what it left is there until you rm -r {folder}")


@command.command("bmc", cls=Verb)
@click.option(
    "--tree",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="A captured machine, as `metal bmc capture` makes it.",
)
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="0 takes any.  [default: 0]")
@click.option("--address", default="127.0.0.1", help="Where it listens.  [default: 127.0.0.1]")
@click.option(
    "--credentials",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="user:password it takes; without it METAL_BMC_USER and METAL_BMC_PASSWORD, else those of "
    "the lab's other BMCs.",
)
@click.pass_obj
def bmc(face: Face, tree: Path, port: int, address: str, credentials: Path | None) -> None:
    """Serve a captured machine as its BMC, read-only, until it is ended.

    Over HTTPS with a log-in, as the real one: try `metal enroll --dry-run` on it.
    """
    import signal
    import tempfile
    import threading

    from metal.cli.credentials import from_environment, from_file
    from metal.lab.recorded import read_tree, recorded_bmc
    from metal.lab.topology import FACTORY_PASSWORD, FACTORY_USER

    chosen = from_file(credentials)[0] if credentials else from_environment()
    own = chosen[:2] if chosen else (FACTORY_USER, FACTORY_PASSWORD)
    end = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: end.set())
    with tempfile.TemporaryDirectory() as folder:
        served = recorded_bmc(
            read_tree(tree), Path(folder), address=address, port=port, user=own[0], password=own[1]
        ).start()
        try:
            _tell_bmc(face, served, None if chosen else own)
            end.wait()
        finally:
            served.stop()


def _tell_bmc(face: Face, served: "RedfishBmc", own: tuple[str, str] | None) -> None:
    """Where it is and how to try it. A password that somebody chose is not repeated."""
    where = f"{served.host}:{served.port}"
    facts = {
        "address": served.host,
        "port": served.port,
        "fingerprint": served.certificate.fingerprint,
    }
    face.show([f"https://{where}  certificate {served.certificate.fingerprint}"], facts)
    if own:
        face.say(f"try it: METAL_BMC_USER={own[0]} METAL_BMC_PASSWORD={own[1]} \\")
    face.say(f"  metal enroll --dry-run {where}")
    sys.stdout.flush()


def _trio(folder: Path) -> ModuleType | None:
    """What drives the lab in the folder, if it is one of namespaces."""
    from metal.lab.topology import TRIO

    if not (folder / TRIO).exists():
        return None
    from metal.lab.namespaces import workspace

    return workspace


def _machines(folder: Path) -> ModuleType | None:
    """What drives the lab in the folder, if it is one of whole machines."""
    from metal.lab.topology import MACHINES

    if not (folder / MACHINES).exists():
        return None
    from metal.lab.machines import lab

    return lab


def _show_machines(face: Face, status: "MachinesStatus") -> None:
    from metal.cli.render.lab import machine_lines
    from metal.cli.screen import width

    face.show(machine_lines(status, width()), status)


def _show_trio(face: Face, status: "TrioStatus") -> None:
    from metal.cli.render.lab import trio_lines
    from metal.cli.screen import width

    face.show(trio_lines(status, width()), status)


def _show(face: Face, status: "LabStatus") -> None:
    from metal.cli.render.lab import lab_lines
    from metal.cli.screen import width

    face.show(lab_lines(status, width()), status)
