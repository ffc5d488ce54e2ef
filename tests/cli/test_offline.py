"""Every command that plans takes `--world FILE`, and then asks nobody."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest

from metal.cli.root import metal as root

PLANS = {
    "plan": (),
    "whatif": ("--fail", "alba1"),
    "drill": ("--fail", "alba1"),
    "capacity": (),
    "balance": (),
    "balance --across": (),
    "cpu": (),
    "drain": ("alba1", "--plan"),
    "move": ("blog", "bora", "--plan"),
    "move --copy": ("blog", "bora", "--plan"),
    "evacuate": ("lisbon",),
    "rebuild": ("lisbon",),
    "donors": (),
    "ipv4": (),
    "cluster form": ("alba", "--plan"),
    "network render": (),
    "network check": (),
    "network ipv6": (),
}
"""Command → what else it is told."""
NO_PLANS = {
    "network apply": "it shows what differs from what the gateways have, and so asks those",
    "check-certificate": "it takes a world to compare with, and reads files alone",
}
LOOKS_OUT = ("socket.connect", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo")
_watched: list[str] | None = None


def _audit(event: str, _: object) -> None:
    if _watched is not None and event in LOOKS_OUT:
        _watched.append(event)
        raise AssertionError(f"{event}, with a recorded world")


sys.addaudithook(_audit)


@pytest.fixture
def nobody_asked() -> Iterator[list[str]]:
    """What went out to a network meanwhile, by whichever library; each is refused, too."""
    global _watched
    _watched = []
    yield _watched
    _watched = None


@pytest.fixture
def world(looked: Path, metal: Callable[..., object], tmp_path: Path) -> Path:
    file = tmp_path / "world.json"
    file.write_text(metal("-C", str(looked), "look", "--last", "-o", "json").out)
    return file


def commands(group: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, set[str]]]:
    """Each command's words and options."""
    context = click.Context(group)
    if not isinstance(group, click.Group):
        yield " ".join(path), {option for p in group.params for option in p.opts}
        return
    for name in group.list_commands(context):
        found = group.get_command(context, name)
        assert found is not None
        yield from commands(found, (*path, name))


def test_every_command_that_plans_takes_a_world() -> None:
    every = dict(commands(root))
    takes = {name for name, options in every.items() if "--world" in options}
    assert takes == {name.partition(" --")[0] for name in PLANS} | NO_PLANS.keys()
    plans = {name for name, options in every.items() if options & {"--plan", "--act", "--prove"}}
    assert plans - takes == {"watch", "serve"}, "those act on what they see, and plan for nobody"


@pytest.mark.parametrize("command", PLANS)
def test_a_recorded_world_is_planned_for_without_a_network(
    looked: Path, world: Path, metal: Callable[..., object], nobody_asked: list[str], command: str
) -> None:
    words = (*command.split(), *PLANS[command])
    said = metal("-C", str(looked), *words, "--world", str(world))
    assert nobody_asked == []
    assert said.code in (0, 1, 3, 10), said.err
    assert "Traceback" not in said.err and "is not taken by" not in said.err


@pytest.mark.parametrize("command", PLANS)
def test_a_world_that_tells_of_nothing_is_unknown_and_no_crash(
    looked: Path, tmp_path: Path, metal: Callable[..., object], command: str
) -> None:
    file = tmp_path / "nothing.json"
    file.write_text("{}")
    said = metal("-C", str(looked), *command.split(), *PLANS[command], "--world", str(file))
    assert said.code in (0, 1, 2, 3, 4, 10), said.err
    assert "this is a bug" not in said.err.lower()


@pytest.mark.parametrize(
    "words",
    [
        ("move", "blog", "bora"),
        ("rebuild", "lisbon", "--act"),
        ("cluster", "form", "alba"),
        ("cpu", "--look"),
        ("look", "--last", "--backups"),
    ],
)
def test_what_acts_or_asks_takes_no_recorded_world(
    looked: Path, world: Path, metal: Callable[..., object], words: tuple[str, ...]
) -> None:
    given = () if words[0] == "look" else ("--world", str(world))
    said = metal("-C", str(looked), *words, *given)
    assert said.code == 2 and "leave --" in said.err, said.err
