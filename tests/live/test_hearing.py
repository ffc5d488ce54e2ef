"""What the silence of a machine at work means, and when it means nothing."""

from dataclasses import replace

from metal.live.hearing import Hearing
from metal.operations.jobs import Job

TOLD = Job(
    id=1,
    server="alba1",
    operation=1,
    body={},
    phase="memory",
    fraction=0.1,
    text="",
    beats=7,
    heard=1764400000.0,
    taken=True,
    ended=None,
)
SPEAKS = replace(TOLD, beats=8)


def test_what_another_heard_is_not_what_we_heard() -> None:
    hearing = Hearing(TOLD, lambda: True)
    assert not hearing.look(TOLD)
    assert (hearing.heard, hearing.quiet) == (False, 1)
    assert hearing.look(SPEAKS)
    assert (hearing.heard, hearing.quiet, hearing.stuck) == (True, 0, 2)


def test_silence_counts_while_somebody_listens_and_only_then() -> None:
    there = [True]
    hearing = Hearing(TOLD, lambda: there[0])
    hearing.look(SPEAKS)
    hearing.look(SPEAKS)
    there[0] = False
    hearing.look(SPEAKS)
    assert (hearing.heard, hearing.quiet, hearing.stuck) == (False, 0, 0)
    there[0] = True
    hearing.look(SPEAKS)
    assert (hearing.heard, hearing.quiet) == (False, 1)
    hearing.look(replace(SPEAKS, beats=9, phase="cpu"))
    assert (hearing.heard, hearing.quiet, hearing.stuck) == (True, 0, 0)


def test_who_slept_did_not_listen() -> None:
    now = [1000.0]
    hearing = Hearing(TOLD, lambda: True, slept=300, wall=lambda: now[0])
    hearing.look(SPEAKS)
    now[0] += 299
    hearing.look(SPEAKS)
    assert (hearing.heard, hearing.quiet) == (True, 1)
    now[0] += 1800
    hearing.look(SPEAKS)
    assert (hearing.heard, hearing.quiet, hearing.stuck) == (False, 0, 0)


def test_the_gap_is_told() -> None:
    said = Hearing(TOLD, lambda: True).gap(TOLD)
    assert said.startswith("nothing was heard of it after 2025-11-29 07:06:40 UTC, and until ")
