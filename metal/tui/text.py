"""The TUI's own screens without a terminal: as plain text and as a picture."""

import asyncio
import re
from collections.abc import Callable

from metal.tui.app import MetalApp
from metal.tui.pages.fleet import fleet_page
from metal.tui.screens import BARS
from metal.tui.source import Recorded, Snapshot


def fleet_as_text(snapshot: Snapshot, width: int = 80, height: int | None = None) -> str:
    """The fleet screen as the TUI shows it in `width`×`height` cells, one line each.

    Without a height it is as high as the fleet needs, at least 25.
    """
    height = height or max(25, len(fleet_page(snapshot, width)) + BARS)
    return _shown(snapshot, width, height, screen_text)


def fleet_as_svg(snapshot: Snapshot, width: int = 80, height: int = 25) -> str:
    """The same as an SVG picture, in colour."""
    return _shown(snapshot, width, height, _picture)


def _picture(app: MetalApp) -> str:
    """textual names a font host's files in @font-face: a picture must fetch nothing."""
    svg = app.export_screenshot(title="metal tui")
    return re.sub(r"@font-face\s*\{.*?\}\s*", "", svg, flags=re.DOTALL)


def screen_text(app: MetalApp) -> str:
    """What is on the app's screen now."""
    strips = app.screen._compositor.render_strips()
    return "\n".join(strip.text.rstrip() for strip in strips) + "\n"


def _shown(snapshot: Snapshot, width: int, height: int, export: Callable[[MetalApp], str]) -> str:
    async def run() -> str:
        app = MetalApp(Recorded(snapshot))
        async with app.run_test(size=(width, height)) as pilot:
            await app.workers.wait_for_complete()
            await pilot.pause()
            return export(app)

    return asyncio.run(run())
