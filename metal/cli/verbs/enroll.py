"""`metal enroll`: learn what servers are and take over their BMCs."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from metal.cli.complete import servers
from metal.cli.face import Face
from metal.cli.lazy import Verb
from metal.model.errors import BadInput, Unreachable

if TYPE_CHECKING:
    from metal.cli.credentials import Given
    from metal.controller.enroll_result import EnrollResult
    from metal.controller.targets import Target
    from metal.controller.wishes import Wishes
    from metal.controller.workspace import Workspace
    from metal.enroll.handover import HandOver

FILE = click.Path(dir_okay=False, path_type=Path)


@click.command("enroll", cls=Verb)
@click.argument("words", nargs=-1, metavar="[SERVER|ADDRESS[:PORT]]...", shell_complete=servers)
@click.option("--all", "everything", is_flag=True, help="Every server that is not enrolled yet.")
@click.option(
    "--scan",
    "networks",
    multiple=True,
    metavar="CIDR",
    help="Every BMC that answers in this network, a /20 at most; CIDR:PORT for another port.",
)
@click.option(
    "--file",
    "lists",
    multiple=True,
    type=FILE,
    metavar="LIST",
    help="A donor's list as CSV, with a header: address, and if known name, user, password, "
    "site, rack, unit, serial.",
)
@click.option("--dry-run", is_flag=True, help="Only learn and show: change nothing anywhere.")
@click.option(
    "--credentials",
    "files",
    multiple=True,
    type=FILE,
    metavar="FILE",
    help="A file with user:password of the BMCs as they were delivered, one a line, each tried "
    "once; only you may read it.",
)
@click.option("--name", help="What to call the server at ADDRESS.  [default: maker and serial]")
@click.option("--site", help="Where new servers stand.  [default: by the site's bmc subnet]")
@click.option("--rack", help="The rack new servers are in.")
@click.option("--profile", help="The profile of new servers.  [default: solo]")
@click.option("--both", is_flag=True, help="Ask over IPMI too, whatever Redfish tells.")
@click.option(
    "--connections",
    type=click.IntRange(1, 1024),
    envvar="METAL_CONNECTIONS",
    metavar="N",
    help="Connections open at once over all BMCs; each BMC sees one. As many as there are BMCs "
    "ends soonest, if the network bears it.  [default: 64; METAL_CONNECTIONS]",
)
@click.pass_context
def command(
    ctx: click.Context,
    words: tuple[str, ...],
    everything: bool,
    networks: tuple[str, ...],
    lists: tuple[Path, ...],
    dry_run: bool,
    files: tuple[Path, ...],
    name: str | None,
    site: str | None,
    rack: str | None,
    profile: str | None,
    both: bool,
    connections: int | None,
) -> None:
    """Learn what servers are and take over their BMCs.

    Asks each BMC what the server is, gives it a password of our own (kept encrypted to every
    administrator before it is set) and writes what was learned into the inventory, comments
    kept. A BMC that is not in the inventory is added to it.

    The passwords the BMCs were delivered with come from --credentials, from METAL_BMC_USER and
    METAL_BMC_PASSWORD, from a list, or are asked for; never from the command line. Each is
    tried once a BMC: a wrong one locks nobody out.
    """
    asked = Asked(words, everything, networks, name)
    asked.check(lists)
    found, given = _read(lists, files)
    # From here on it is heavy: what is wrong with the command itself was said at once.
    from metal.cli import credentials
    from metal.controller.targets import needs_credential
    from metal.controller.wishes import Wishes
    from metal.enroll.door import Credential

    face = ctx.ensure_object(Face)
    workspace = _workspace(face, dry_run, everything)
    wishes = Wishes(name=name, site=site, rack=rack, profile=profile)
    targets, bad, silent = _targets(face, workspace, asked, found, wishes, dry_run)
    if not targets and not bad:
        if not silent:
            face.say("nothing to enrol: all of them are enrolled")
        face.show([], [])
        ctx.exit(Unreachable.exit_code if silent else 0)
    pairs = given or credentials.given(
        [target.label for target in targets if needs_credential(workspace, target)]
    )
    delivered = [Credential(*pair) for pair in pairs]
    face.resumable = "servers that were enrolled stay so; the same command does the others"
    from metal.controller.enrolling import enroll

    with face.progress() as progress:
        results = enroll(
            workspace,
            targets,
            delivered,
            dry_run=dry_run,
            both=both,
            connections=connections,
            progress=progress,
        )
    _report(face, [*results, *bad], dry_run=dry_run)
    ctx.exit(max((r.exit_code for r in (*results, *bad)), default=0))


@dataclass(frozen=True)
class Asked:
    """What is to be enrolled, besides lists."""

    words: tuple[str, ...]
    everything: bool
    networks: tuple[str, ...]
    name: str | None

    def check(self, lists: tuple[Path, ...]) -> None:
        """BadInput for what needs no workspace to be seen wrong."""
        from metal.enroll.handover import split_address
        from metal.enroll.ranges import network_of

        named = self.words or self.everything or self.networks or lists
        if self.words and self.everything:
            raise BadInput("servers are named, and --all is given", mend="give one of both")
        if not named:
            raise BadInput(
                "name servers or the addresses of their BMCs",
                mend="metal enroll --all; or --scan NETWORK or --file LIST: `metal enroll --help`",
            )
        if self.name and len(self.words) != 1:
            raise BadInput("--name names one server", mend="metal enroll ADDRESS --name NAME")
        for network in self.networks:
            network_of(network)
        for word in self.words:
            if re.search("[.:@]", word):  # no name of a server
                split_address(word)


def _read(lists: tuple[Path, ...], files: tuple[Path, ...]) -> "tuple[list[HandOver], list[Given]]":
    """The lists, and the credentials of the files."""
    from metal.cli.credentials import from_files
    from metal.enroll.handover import read

    return [read(file) for file in lists], from_files(files)


def _workspace(face: Face, dry_run: bool, everything: bool) -> "Workspace | None":
    """A stranger may look at a machine without having a workspace."""
    try:
        return face.open()
    except BadInput:
        if dry_run and not everything and face.workspace == ".":
            return None
        raise


def _targets(
    face: Face,
    workspace: "Workspace | None",
    asked: Asked,
    lists: "list[HandOver]",
    wishes: "Wishes",
    dry_run: bool,
) -> "tuple[list[Target], list[EnrollResult], bool]":
    """What to enrol, each once, what of the lists cannot be, and whether a scan met nobody."""
    from metal.controller.enroll_result import sound, unusable
    from metal.controller.targets import not_enrolled, scanned, targets_of, targets_of_list
    from metal.controller.wishes import check
    from metal.enroll.handover import HTTPS

    check(workspace.inventory if workspace else None, wishes)
    bad: list[EnrollResult] = []
    targets: list[Target] = []
    for found in lists:
        targets += targets_of_list(workspace, found, wishes)
        bad += unusable(found.bad)
    targets += targets_of(workspace, asked.words, wishes)
    if asked.everything:
        targets += targets_of(workspace, not_enrolled(face.open()), wishes)
    silent = False
    for network in asked.networks:
        with face.progress() as progress:
            answered = scanned(workspace, network, wishes, progress, dry_run=dry_run)
        if not answered:
            silent = True
            _say_silent(face, workspace, network)
            continue
        answer = "1 BMC answers" if len(answered) == 1 else f"{len(answered)} BMCs answer"
        face.say(f"{answer} in {network}:")
        for one in answered:
            face.say(f"  {one.text}")
        targets += [one.target for one in answered if one.target]
    each = {(t.address, t.port or HTTPS, t.server): t for t in reversed(targets)}
    possible, refused = sound(workspace, list(each.values())[::-1], dry_run=dry_run)
    return possible, [*bad, *refused], silent


def _say_silent(face: Face, workspace: "Workspace | None", network: str) -> None:
    """What was tried, and what else may be."""
    from metal.controller.targets import other_ports
    from metal.drivers.bmc import HTTPS, RMCP
    from metal.enroll.ranges import network_of

    inside, port = network_of(network)
    face.say(
        f"no BMC answers in {network}: of {inside.num_addresses} addresses each was asked over "
        f"Redfish (TCP port {port or HTTPS}) and IPMI (UDP port {port or RMCP})"
    )
    others = other_ports(workspace, network)
    for other in others:
        face.say(f"  → BMCs of the inventory there listen on {other}: --scan {network}:{other}")
    if not others:
        face.say(
            "  → is this controller in their network, and do they have power? CIDR:PORT "
            "asks at another port"
        )


def _report(face: Face, results: "list[EnrollResult]", *, dry_run: bool) -> None:
    from metal.cli.complaints import complaint
    from metal.cli.render.enroll import dry_run_documents, enroll_lines
    from metal.cli.screen import width

    documents = dry_run_documents(list(results)) if dry_run else list(results)
    face.show(enroll_lines(list(results), width(), dry_run=dry_run), documents)
    for result in results:
        if result.error:
            who = result.server or result.address
            face.complain(complaint(who, result.error, result.where))
