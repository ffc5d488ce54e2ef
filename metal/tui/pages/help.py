"""The keys."""

from metal.tui.line import Line, line

KEYS = (
    ("up, down, k, j", "move; page up, page down, home and end work too"),
    ("enter", "open the server of the line"),
    ("escape, q", "back; q on the fleet ends metal"),
    ("f", "the fleet, by site and rack"),
    ("o", "the operations: what runs, how far, what failed"),
    ("p", "what somebody at the rack is asked to press; y and n answer it"),
    ("/", "show only lines that hold a word; escape shows all"),
    ("r", "look now: ask every server and cluster"),
    ("?", "this page"),
)


def help_page() -> list[Line]:
    """Fits on the smallest console."""
    return [
        line("Keys", "title"),
        *(line(f"{keys:<16}{what}") for keys, what in KEYS),
        line(),
        line("Signs", "title"),
        line("!  a person should look at it      ?  nobody answered: unknown, not off"),
        line("4/5 VMs: four of five run"),
        line(),
        line("Else this screen only shows. What changes something is a command:"),
        line("metal enroll, plan, apply, drain, watch --act, run resume, run cancel."),
    ]
