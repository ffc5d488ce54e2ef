"""`metal` itself: the global options and the table of commands."""

import click

from metal import __version__
from metal.cli.lazy import LazyGroup, global_options

COMMANDS = {
    "init": ("metal.cli.verbs.init", "Make a workspace."),
    "check": ("metal.cli.verbs.check", "Name every mistake in the inventory and its profiles."),
    "enroll": ("metal.cli.verbs.enroll", "Learn what servers are and take over their BMCs."),
    "burnin": ("metal.cli.verbs.burnin", "Test servers hard and grade them A to F."),
    "wipe": ("metal.cli.verbs.wipe", "Erase a donor's disks, with a signed record of each."),
    "server": ("metal.cli.verbs.server", "Show what is known of a server, or list them all."),
    "bmc": ("metal.cli.verbs.bmc", "The controllers themselves: capture, audit, rotate."),
    "power": ("metal.cli.verbs.power", "Switch servers: BMC, plug, or a person at the rack."),
    "boot": ("metal.cli.verbs.boot", "Choose what a server boots from next, once."),
    "media": ("metal.cli.verbs.media", "The image that installs a server; its virtual drives."),
    "console": ("metal.cli.verbs.console", "A server's serial console, logged to a file."),
    "look": ("metal.cli.verbs.look", "Record what is seen, to plan for without a network."),
    "plan": ("metal.cli.verbs.plan", "Show what would be done, why and how risky it is."),
    "apply": ("metal.cli.verbs.apply", "Do what a plan says, or go on with what was begun."),
    "serve": ("metal.cli.verbs.serve", "Answer a site's servers when they boot."),
    "keys": ("metal.cli.verbs.keys", "The keys of disks: escrow, rotation, recovery."),
    "unlock": ("metal.cli.verbs.unlock", "Give servers that wait at boot their disk's key."),
    "installer": ("metal.cli.verbs.installer", "The Debian installer that servers boot."),
    "live": ("metal.cli.verbs.live", "The small system that burn-ins and wipes run in."),
    "cluster": ("metal.cli.verbs.cluster", "Proxmox clusters: form, adopt, upgrade, mend."),
    "status": ("metal.cli.verbs.status", "Show the fleet: servers, nodes, VMs."),
    "watch": ("metal.cli.verbs.watch", "Notice servers that fail; with --act heal what they hold."),
    "incident": ("metal.cli.verbs.incident", "What happened, from first signal to last VM."),
    "alarm": ("metal.cli.verbs.alarm", "Who is called, and whether it gets through."),
    "fence": ("metal.cli.verbs.fence", "Prove a lost server off; what it held restarts elsewhere."),
    "whatif": ("metal.cli.verbs.whatif", "Where VMs restart if a server or a site is lost."),
    "drill": ("metal.cli.verbs.drill", "Rehearse a server's death on doubles, with times."),
    "capacity": ("metal.cli.verbs.capacity", "How many more VMs of a size fit, and survive."),
    "check-certificate": (
        "metal.cli.verbs.check_certificate",
        "Verify a proof that any one server may die.",
    ),
    "balance": ("metal.cli.verbs.balance", "Use the servers of each cluster evenly."),
    "cpu": ("metal.cli.verbs.cpu", "Which processor the VMs of each cluster can have."),
    "drain": ("metal.cli.verbs.drain", "Move every VM off a server, live."),
    "move": ("metal.cli.verbs.move", "A VM goes to another cluster, live or by a backup."),
    "evacuate": ("metal.cli.verbs.evacuate", "A donor withdraws: what goes where, and when."),
    "rebuild": (
        "metal.cli.verbs.rebuild",
        "After a fire: what was there, elsewhere, from backups.",
    ),
    "donors": ("metal.cli.verbs.donors", "Who lends what, on what terms, and what is used."),
    "ipv4": ("metal.cli.verbs.ipv4", "Show what public IPv4 addresses are spent on."),
    "network": ("metal.cli.verbs.network", "What gateways, name servers and the mesh are told."),
    "release": ("metal.cli.verbs.release", "Let a server take part again that was set aside."),
    "run": ("metal.cli.verbs.run", "List, show, resume or cancel operations."),
    "lab": ("metal.cli.verbs.lab", "A virtual rack to try all of it on."),
    "tui": ("metal.cli.verbs.tui", "The fleet full screen, driven by keys."),
    "completion": ("metal.cli.verbs.completion", "Print the completion script of a shell."),
}

EPILOG = """\
The options above may also stand after the command. Data goes to stdout, talk to stderr.

\b
Exit codes: 0 done, 1 failed, 2 bad input, 3 refused, 4 unreachable,
10 changes pending, 130 interrupted."""


@click.group(
    cls=LazyGroup,
    lazy=COMMANDS,
    params=global_options(),
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
)
@click.version_option(__version__, message="metal %(version)s")
def metal() -> None:
    """From a pallet of donated servers to running VMs."""
