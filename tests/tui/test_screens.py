"""The TUI through its Pilot: keys in, words out."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from types import ModuleType

import pytest
from textual.pilot import Pilot

from metal.model.errors import Unreachable
from metal.tui.app import MetalApp
from metal.tui.source import Recorded, Snapshot
from metal.tui.text import fleet_as_svg, fleet_as_text, screen_text

Story = Callable[[MetalApp, Pilot[None]], Awaitable[None]]


def play(source: object, story: Story, size: tuple[int, int] = (80, 25)) -> None:
    async def run() -> None:
        app = MetalApp(source)  # type: ignore[arg-type]
        async with app.run_test(size=size) as pilot:
            await app.workers.wait_for_complete()
            await pilot.pause()
            await story(app, pilot)

    asyncio.run(run())


def test_the_fleet_screen_is_golden(recorded: ModuleType, golden: Callable[..., None]) -> None:
    async def story(app: MetalApp, pilot: Pilot[None]) -> None:
        golden("fleet-80x25.txt", screen_text(app))

    play(Recorded(recorded.snapshot()), story)


def test_the_server_page_is_golden(recorded: ModuleType, golden: Callable[..., None]) -> None:
    async def story(app: MetalApp, pilot: Pilot[None]) -> None:
        await pilot.press("enter")
        golden("server-80x25.txt", screen_text(app))

    play(Recorded(recorded.snapshot()), story)


def test_the_printed_screen_is_the_screen(recorded: ModuleType) -> None:
    async def story(app: MetalApp, pilot: Pilot[None]) -> None:
        assert fleet_text == screen_text(app)

    fleet_text = fleet_as_text(recorded.snapshot(), 80, 25)
    play(Recorded(recorded.snapshot()), story)


def test_keys_alone_reach_every_page(recorded: ModuleType) -> None:
    async def story(app: MetalApp, pilot: Pilot[None]) -> None:
        await pilot.press("down", "j", "up", "enter")
        assert "server alba2" in screen_text(app)
        await pilot.press("escape", "o")
        assert "drain" in screen_text(app) and "moving mail1 to alba3" in screen_text(app)
        await pilot.press("q", "question_mark")
        assert "help" in screen_text(app).splitlines()[0]
        await pilot.press("f")
        assert "attic-commons: fleet" in screen_text(app)
        await pilot.press("q")
        assert app.return_code == 0

    play(Recorded(recorded.snapshot()), story)


def test_a_filter_narrows_and_escape_widens(recorded: ModuleType) -> None:
    async def story(app: MetalApp, pilot: Pilot[None]) -> None:
        await pilot.press("slash", *"bora", "enter")
        assert "bora1" in screen_text(app) and "alba1" not in screen_text(app)
        await pilot.press("escape")
        assert "alba1" in screen_text(app)

    play(Recorded(recorded.snapshot()), story)


class Slow(Recorded):
    """Looking takes until somebody lets it end."""

    def __init__(self, snapshot: Snapshot) -> None:
        super().__init__(snapshot)
        self.ended = threading.Event()

    def look(self) -> None:
        assert self.ended.wait(30)


def test_a_slow_look_blocks_no_key(recorded: ModuleType) -> None:
    source = Slow(recorded.snapshot())

    async def story(app: MetalApp, pilot: Pilot[None]) -> None:
        await pilot.press("r")
        assert "looking.." in screen_text(app)
        await pilot.press("down", "enter")
        assert "server alba2" in screen_text(app)
        source.ended.set()

    play(source, story)


class Broken(Recorded):
    def snapshot(self) -> Snapshot:
        raise Unreachable("the database does not answer")


def test_trouble_is_told_and_survived(recorded: ModuleType) -> None:
    async def story(app: MetalApp, pilot: Pilot[None]) -> None:
        assert "the database does not answer" in screen_text(app)
        await pilot.press("question_mark", "escape")
        assert app.is_running

    play(Broken(recorded.snapshot()), story)


def test_a_fleet_nobody_looked_at(recorded: ModuleType) -> None:
    async def story(app: MetalApp, pilot: Pilot[None]) -> None:
        assert "never looked" in screen_text(app)
        assert "alba1" in screen_text(app)

    play(Recorded(Snapshot(taken_at=recorded.NOON, inventory=recorded.inventory())), story)


@pytest.mark.parametrize("size", [(80, 25), (40, 12), (200, 60)])
def test_every_page_at_every_size_in_signs_that_every_console_has(
    recorded: ModuleType, size: tuple[int, int]
) -> None:
    async def story(app: MetalApp, pilot: Pilot[None]) -> None:
        for keys in ([], ["enter"], ["escape", "o"], ["escape", "question_mark"]):
            await pilot.press(*keys)
            text = screen_text(app)
            assert len(text.splitlines()) == size[1]
            assert all(len(line) <= size[0] for line in text.splitlines())
            assert text.encode("latin-1")

    play(Recorded(recorded.snapshot()), story, size)


def test_trouble_is_in_words_not_in_colour_alone(recorded: ModuleType) -> None:
    text = fleet_as_text(recorded.snapshot(), 80)
    for server, word in (("alba2", "critical"), ("bora2", "offline"), ("cima2", "unknown")):
        line = next(line for line in text.splitlines() if server in line)
        assert word in line and "!" in line.split(server)[0]


def test_the_picture_is_self_contained(recorded: ModuleType) -> None:
    picture = fleet_as_svg(recorded.snapshot())
    assert "alba1" in picture
    assert "@font-face" not in picture and "url(http" not in picture
