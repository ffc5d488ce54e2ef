"""Somebody at the rack: told what to press, and answered for nobody but the errand in sight."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from types import ModuleType

from textual.pilot import Pilot

from metal.model.errors import Refused
from metal.tui.app import MetalApp
from metal.tui.source import ErrandSeen, Snapshot
from metal.tui.text import screen_text

Story = Callable[[MetalApp, Pilot[None]], Awaitable[None]]


class Rack:
    """A source with errands; an answer takes one away."""

    def __init__(self, recorded: ModuleType, *servers: str) -> None:
        self.snapshot_ = recorded.snapshot()
        self.answers: list[tuple[int, bool]] = []
        self.error: Refused | None = None
        for server in servers:
            self.ask(server)

    def ask(self, server: str) -> None:
        number = len(self.snapshot_.errands) + len(self.answers) + 1
        errand = ErrandSeen(
            request=number,
            server=server,
            wanted="off",
            what=f"press the power button of {server} (rack L2, U10) until its light is off "
            "(if it stays on, pull its power cords)",
            why="its VMs are restarted elsewhere once it is off",
            asked_at=self.snapshot_.taken_at - timedelta(minutes=3),
        )
        self._put((*self.snapshot_.errands, errand))

    def _put(self, errands: tuple[ErrandSeen, ...]) -> None:
        self.snapshot_ = self.snapshot_.model_copy(update={"errands": errands})

    def snapshot(self) -> Snapshot:
        return self.snapshot_

    def look(self) -> None:
        raise AssertionError("nobody pressed r")

    def answer(self, request: int, done: bool) -> None:
        if self.error:
            raise self.error
        self.answers.append((request, done))
        self._put(tuple(e for e in self.snapshot_.errands if e.request != request))


def play(rack: Rack, story: Story, size: tuple[int, int] = (80, 25)) -> None:
    async def run() -> None:
        app = MetalApp(rack, every=3600)
        async with app.run_test(size=size) as pilot:
            await settle(app, pilot)
            await story(app, pilot)

    asyncio.run(run())


async def settle(app: MetalApp, pilot: Pilot[None]) -> None:
    """Answers are recorded and read back in workers, one after the other."""
    for _ in range(3):
        await app.workers.wait_for_complete()
        await pilot.pause()


async def read_again(app: MetalApp, pilot: Pilot[None]) -> None:
    app.read()
    await settle(app, pilot)


def test_the_page_is_golden_and_opens_by_itself(
    recorded: ModuleType, golden: Callable[..., None]
) -> None:
    async def story(app: MetalApp, pilot: Pilot[None]) -> None:
        golden("errand-80x25.txt", screen_text(app))

    play(Rack(recorded, "alba1"), story)


def test_y_is_recorded_and_goes_back(recorded: ModuleType) -> None:
    rack = Rack(recorded, "alba1")

    async def story(app: MetalApp, pilot: Pilot[None]) -> None:
        await pilot.press("y")
        await settle(app, pilot)
        assert rack.answers == [(1, True)]
        assert "attic-commons: fleet" in screen_text(app)

    play(rack, story)


def test_a_hasty_second_y_answers_nothing_unseen(recorded: ModuleType) -> None:
    rack = Rack(recorded, "alba1", "alba2")

    async def story(app: MetalApp, pilot: Pilot[None]) -> None:
        await pilot.press("y", "y")
        await settle(app, pilot)
        assert rack.answers == [(1, True)]
        assert "p: 1 to do at the rack" in screen_text(app).splitlines()[0]
        await pilot.press("p")
        assert "Press the power button of alba2" in screen_text(app)
        await pilot.press("n")
        await settle(app, pilot)
        assert rack.answers == [(1, True), (2, False)]

    play(rack, story)


def test_later_means_later_and_p_opens_it(recorded: ModuleType) -> None:
    rack = Rack(recorded, "alba1")

    async def story(app: MetalApp, pilot: Pilot[None]) -> None:
        await pilot.press("escape")
        await read_again(app, pilot)
        assert "p: 1 to do at the rack" in screen_text(app).splitlines()[0]
        await pilot.press("y")
        await settle(app, pilot)
        assert rack.answers == []
        await pilot.press("p", "y")
        await settle(app, pilot)
        assert rack.answers == [(1, True)]

    play(rack, story)


def test_no_page_opens_under_the_fingers_of_somebody_who_types(recorded: ModuleType) -> None:
    rack = Rack(recorded)

    async def story(app: MetalApp, pilot: Pilot[None]) -> None:
        await pilot.press("slash")
        rack.ask("alba1")
        await read_again(app, pilot)
        await pilot.press("y")
        await settle(app, pilot)
        assert rack.answers == []
        await pilot.press("escape")
        await read_again(app, pilot)
        assert "Press the power button of alba1" in screen_text(app)

    play(rack, story)


def test_an_answer_that_came_too_late_says_so(recorded: ModuleType) -> None:
    rack = Rack(recorded, "alba1")
    rack.error = Refused("nobody waits for request 1 any more: ana answered it")

    async def story(app: MetalApp, pilot: Pilot[None]) -> None:
        await pilot.press("y")
        await settle(app, pilot)
        assert "nobody waits for request 1" in screen_text(app)

    play(rack, story)


def test_it_fits_the_smallest_console(recorded: ModuleType) -> None:
    async def story(app: MetalApp, pilot: Pilot[None]) -> None:
        text = screen_text(app)
        assert "y  it is off" in text and "n  it cannot" in text
        assert all(len(line) <= 40 for line in text.splitlines())

    play(Rack(recorded, "alba1"), story, (40, 16))
