"""Who opens whose disk, and the way out of darkness, as lines for paper."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from metal.cli.render.hang import hanging

if TYPE_CHECKING:
    from metal.install.cold_start import ColdStart
    from metal.install.key_graph import KeyGraph, ServerKeys


def graph_lines(graph: "KeyGraph", width: int) -> list[str]:
    lines = ["What opens each disk"]
    for server in graph.servers:
        lines += hanging(f"  {server.server}  ", "; or ".join(server.ways), width)
        lines += hanging("    ", _comes(server), width)
    lines += ["", "When everything is dark"]
    for text in _steps(graph.cold_start):
        lines += hanging("  ", text, width, under=4)
    return lines


def _comes(server: "ServerKeys") -> str:
    said = f"rebooted alone: {server.alone}; its site dark: {server.site}"
    worse = {site: comes for site, comes in server.burnt.items() if comes != server.alone}
    return said + "".join(f"; {site} lost for ever: {comes}" for site, comes in worse.items())


def _steps(start: "ColdStart") -> Iterator[str]:
    for number, wave in enumerate(start.waves, 1):
        then = "; then ".join(", ".join(together) for together in wave.rounds)
        if wave.persons:
            text = f"somebody unlocks {', '.join(wave.persons)}"
            yield f"{number}. {text}" + (f"; by themselves follow {then}" if then else "")
        else:
            yield f"{number}. by themselves come {then}"
    for deadlock in start.deadlocks:
        what = "ALL SITES DARK: nothing comes back by itself" if deadlock.all_dark else "CIRCLE"
        yield f"{what}: {' needs '.join((*deadlock.chain, deadlock.chain[0]))}"
    if start.never:
        yield (
            f"NEVER: {', '.join(start.never)}: add dropbear, or enough Tang servers elsewhere, to "
            "`by` below [servers.NAME.unlock]; until then only its console and the escrowed key"
        )
