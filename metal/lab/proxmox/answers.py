"""Judge an answer of the double by the schema's `returns`, so that it tells what Proxmox tells.

Proxmox itself never checks its answers; tests have the double do it.
"""

from collections.abc import Iterator
from typing import Any

TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (int,),
    "array": (list,),
    "object": (dict,),
    "null": (type(None),),
    "any": (object,),
}


def wrong(returns: dict[str, Any] | None, answer: Any, where: str = "answer") -> Iterator[str]:
    """Every way in which `answer` is not what `returns` promises."""
    if not returns:
        return
    kind = returns.get("type", "any")
    if kind in ("integer", "number", "boolean") and isinstance(answer, str):
        # Perl tells a number as text where it came from a text, as in corosync.conf.
        answer = int(answer) if answer.lstrip("-").isdigit() else answer
    if not isinstance(answer, TYPES[kind]) or (isinstance(answer, bool) and kind != "boolean"):
        yield f"{where} is {type(answer).__name__} {answer!r:.60}, not {kind}"
        return
    if kind == "boolean" and answer not in (0, 1):
        yield f"{where} is {answer!r}, not a boolean"
    if "enum" in returns and answer not in returns["enum"]:
        yield f"{where} is {answer!r}, none of {returns['enum']}"
    if isinstance(answer, list):
        for number, item in enumerate(answer):
            yield from wrong(returns.get("items"), item, f"{where}[{number}]")
    elif isinstance(answer, dict):
        yield from _object(returns, answer, where)


def _object(returns: dict[str, Any], answer: dict[str, Any], where: str) -> Iterator[str]:
    properties: dict[str, Any] = returns.get("properties", {})
    for name, prop in properties.items():
        if name in answer:
            yield from wrong(prop, answer[name], f"{where}.{name}")
        elif not prop.get("optional") and "[n]" not in name:
            yield f"{where} lacks {name}"
    if properties and returns.get("additionalProperties") == 0:
        for name in answer.keys() - properties.keys():
            yield f"{where} has {name}, which Proxmox does not tell"
