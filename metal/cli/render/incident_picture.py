"""An incident drawn as SVG: time to the right, a lane for each kind of moment."""

from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from metal.cli.render.incident import long_, since_

if TYPE_CHECKING:
    from metal.controller.incidents import Moment, Story

LANES = ("signal", "verdict", "hold", "action", "step", "alarm", "end")
COLOURS = {
    "signal": "#b58900",
    "verdict": "#cb4b16",
    "hold": "#dc322f",
    "action": "#268bd2",
    "step": "#2aa198",
    "alarm": "#6c71c4",
    "end": "#859900",
}
WIDTH, LEFT, RIGHT, TOP, LANE, LINE = 960, 80, 24, 56, 26, 18


def draw(story: "Story") -> str:
    """Dots on a time axis, numbered, with what each says below."""
    bottom = TOP + LANE * len(LANES)
    height = bottom + 40 + LINE * len(story.moments)
    over = "over after" if story.ended else "for"
    title = f"incident {story.id}: {story.subject}, {story.state}, {over} {long_(story.seconds)}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
        f'viewBox="0 0 {WIDTH} {height}" font-family="monospace" font-size="12">',
        f'<rect width="{WIDTH}" height="{height}" fill="#fdf6e3"/>',
        _text(LEFT, 28, title, size=16),
    ]
    for row, kind in enumerate(LANES):
        y = TOP + LANE * row + LANE / 2
        parts.append(_text(8, y + 4, kind, COLOURS[kind]))
        parts.append(f'<line x1="{LEFT}" y1="{y}" x2="{WIDTH - RIGHT}" y2="{y}" stroke="#eee8d5"/>')
    span = max(story.seconds, 1.0)
    for number, moment in enumerate(story.moments, 1):
        parts += _moment(story, number, moment, span, bottom)
    return "\n".join([*parts, "</svg>", ""])


def _moment(story: "Story", number: int, moment: "Moment", span: float, bottom: float) -> list[str]:
    since = moment.at - story.began
    x = LEFT + min(1.0, since / span) * (WIDTH - LEFT - RIGHT)
    y = TOP + LANE * LANES.index(moment.kind) + LANE / 2
    colour = COLOURS[moment.kind]
    said = f"{number:>3}  {since_(since):>9}  {moment.text}"
    room = int((WIDTH - 16) / 7.3)
    if len(said) > room:
        said = said[: room - 1] + "…"
    return [
        f'<circle cx="{x:.1f}" cy="{y}" r="5" fill="{colour}"><title>{number}: '
        f"{_shown(moment.text)}</title></circle>",
        _text(8, bottom + 24 + LINE * number, said, colour),
    ]


def _text(x: float, y: float, said: str, colour: str = "#073642", size: int = 12) -> str:
    return (
        f'<text x="{x}" y="{y}" fill="{colour}" font-size="{size}" xml:space="preserve">'
        f"{_shown(said)}</text>"
    )


def _shown(said: str) -> str:
    """As XML may hold it: no control character of whatever a BMC said."""
    return escape("".join(c if c.isprintable() else "·" for c in said))
