"""The three shapes of data on stdout: a table for people, JSON and JSON lines for programs."""

import json
from dataclasses import fields, is_dataclass
from typing import Any

from pydantic import BaseModel


def data_lines(
    output: str, lines: list[str], document: Any, rows: list[Any] | None = None
) -> list[str]:
    """The lines to print; `output` is table, json or ndjson."""
    if output == "json":
        return [json.dumps(plain(document), indent=2, ensure_ascii=False)]
    if output == "ndjson":
        return [json.dumps(plain(r), ensure_ascii=False) for r in rows_of(document, rows)]
    return lines


def rows_of(document: Any, rows: list[Any] | None) -> list[Any]:
    """What is one line each: the rows given, else the document's own items, else the document."""
    if rows is not None:
        return rows
    return document if isinstance(document, list) else [document]


def plain(value: Any) -> Any:
    """Models, records and tuples as JSON types: what has named parts keeps the names.

    A part that its record leaves out of its own text (`repr=False`) is a secret.
    """
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if is_dataclass(value) and not isinstance(value, type):
        told = (part.name for part in fields(value) if part.repr)
        return {name: plain(getattr(value, name)) for name in told}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return plain(value._asdict())
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return str(value)
