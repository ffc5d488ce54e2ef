"""Keys of disks as lines."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from metal.cli.render.hang import hanging
from metal.tui.grid import safe

if TYPE_CHECKING:
    from metal.controller.key_checks import KeyState, Verdict
    from metal.controller.keyring import FoundKey
    from metal.controller.resealing import Resealed


def state_lines(states: Sequence["KeyState"], width: int) -> list[str]:
    """One paragraph a server, what is wrong first."""
    lines: list[str] = []
    for state in states:
        for text in _said(state):
            lines += hanging(f"{state.server}  ", text, width)
    return lines or ["no key of a disk is escrowed here"]


def _said(state: "KeyState") -> list[str]:
    if state.error:
        return [safe(line) for line in state.error.splitlines()]
    if not state.escrowed:
        return ["NO KEY is escrowed"]
    wrong = []
    if state.locked_out:
        wrong.append(f"LOCKED OUT: {', '.join(state.locked_out)}: metal keys reseal lets them in")
    if state.strangers:
        wrong.append(
            f"{state.strangers} keys open it that are no administrator's: metal keys reseal, then "
            f"metal keys rotate {state.server}"
        )
    if state.pending:
        wrong.append(f"a rotation has not ended: metal keys rotate {state.server} goes on")
    kept = [f"{state.older} older keys"] if state.older else []
    kept += ["its header"] if state.headers else ["NO HEADER"]
    doors = " and ".join(state.pinned) or "nothing"
    held = "held by the controller too" if state.held else "administrators only"
    return [*wrong, f"escrowed ({held}); beside it {', '.join(kept)}; pinned: {doors}"]


def verdict_lines(verdicts: Sequence["Verdict"], width: int) -> list[str]:
    lines: list[str] = []
    for verdict in verdicts:
        for text in verdict.works:
            lines += hanging(f"{verdict.server}  ", safe(text), width)
        for text in verdict.error.splitlines():
            lines += hanging(f"{verdict.server}  ", safe(text), width)
    return lines


def found_lines(found: Sequence["FoundKey"]) -> list[str]:
    return [f"{one.key or '(your key does not open it)'}  {one.what}" for one in found]


def resealed_lines(done: Sequence["Resealed"]) -> list[str]:
    changed = [one.name for one in done if one.changed]
    lines = [f"{name}: encrypted to everyone of today" for name in changed]
    lines += [safe(line) for one in done for line in one.error.splitlines()]
    same = sum(not one.changed and not one.error for one in done)
    return [*lines, f"{len(changed)} of {len(done)} secrets were encrypted anew, {same} were well"]


def share_lines(shares: Sequence[str], needed: int, recipient: str) -> list[str]:
    lines = [f"Any {needed} of these {len(shares)} give the recovery key back. On paper only."]
    for number, share in enumerate(shares, 1):
        lines += ["", f"share {number} of {len(shares)}:", share]
    return [*lines, "", "Below [fleet] in inventory.toml:", f'recovery = "{recipient}"']
