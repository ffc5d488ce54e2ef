"""`metal bmc read`: what the ipmitool outputs say that a donor sent."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from metal.cli.face import Face
from metal.cli.lazy import Verb

if TYPE_CHECKING:
    from metal.drivers.ipmitool_text import Told

LARGEST = 4 * 2**20
"""Bytes of a file: the longest event logs are a tenth of it."""
SHORT = 20
SILENT = ("cooling", "unknown", "address", "protocol")


@click.command("read", cls=Verb)
@click.argument(
    "files",
    metavar="FILE…",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
)
@click.pass_obj
def command(face: Face, files: tuple[Path, ...]) -> None:
    """Say what outputs of ipmitool tell; - is standard input.

    Which output it is, is found out: fru print, mc info, sdr elist, sel list, sel info, lan
    print, user list, chassis status, chassis bootparam get 5, or an error. Talks to nobody.
    """
    told = [(str(file), _read(file)) for file in files]
    lines = [line for name, one in told for line in _lines(name, one)]
    rows = [{"file": name} | one.model_dump(mode="json") for name, one in told]
    face.show(lines, rows, rows)


def _read(file: Path) -> "Told":
    from metal.drivers.ipmitool_text import read
    from metal.model.errors import BadInput

    try:
        if str(file) == "-":
            raw = sys.stdin.buffer.read(LARGEST + 1)
        else:
            with file.open("rb") as opened:
                raw = opened.read(LARGEST + 1)
    except OSError as error:
        raise BadInput(
            f"cannot be read: {error.strerror}", where=str(file), mend="check who may read it"
        ) from None
    if len(raw) > LARGEST:
        raise BadInput(
            f"is larger than {LARGEST >> 20} MiB",
            where=str(file),
            mend="no output of ipmitool is: name the file that holds one",
        )
    return read(raw.decode("utf-8", "replace"), str(file))


def _lines(name: str, told: "Told") -> list[str]:
    """A head, then one line for each thing that is told."""
    document = told.model_dump(mode="json", exclude_none=True, exclude={"kind", "exit_code"})
    if "health" in document and "facts" in document:
        document["facts"].pop("health", None)  # said again below, with its reasons
    rows = [row for key, part in document.items() for row in _flat(key, part)]
    if not rows and told.kind == "bootparam":
        rows = [("boot once", "no: the next boot goes by the usual order")]
    width = max((len(key) for key, _ in rows), default=0)
    return [f"{name} ({told.kind})", *(f"  {k:<{width}}  {v}" for k, v in rows)]


def _flat(name: str, part: Any) -> list[tuple[str, str]]:
    """(key, text) of one part; what is unknown is left out, `-o json` has the reasons."""
    if not isinstance(part, dict):
        items = part if isinstance(part, list) else [part]
        return [(name, _row(item)) for item in items] or [(name, "none")]
    return [
        (key.replace("_", " "), text)
        for key, value in part.items()
        if key not in SILENT and value not in ("unknown", [], {})
        for text in _texts(value)
    ]


def _texts(value: Any) -> list[str]:
    """Short words and numbers on one line, everything else on a line each."""
    if not isinstance(value, list):
        return [_row(value)]
    short = all(isinstance(v, int | str) and len(str(v)) < SHORT for v in value)
    return [", ".join(map(str, value))] if short else [_row(v) for v in value]


def _row(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return "  ".join(str(v) for v in value.values() if v not in (None, ""))
    return str(value)
