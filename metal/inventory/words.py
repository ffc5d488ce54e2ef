"""What pydantic finds wrong, in words for a person, at the place where it stands."""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from metal.inventory.mistakes import Mistake, meant, suggest
from metal.inventory.positions import Path
from metal.inventory.reading import Source
from metal.model.fleet import DnsName, Fingerprint, Mac, Name, Thumbprint


def _pattern(of: Any) -> str:
    return str(get_args(of)[1].pattern)


_SHAPES = {
    _pattern(Name): (
        "is no name",
        "lower-case letters, digits and hyphens, a letter first, 40 at most (it is a host name)",
    ),
    _pattern(Mac): (
        "is no MAC address",
        "six pairs of lower-case hex digits parted by colons: 02:00:5e:00:00:01",
    ),
    _pattern(Fingerprint): (
        "is no certificate fingerprint",
        "SHA-256: 32 pairs of upper-case hex digits parted by colons",
    ),
    _pattern(Thumbprint): (
        "is no thumbprint of a Tang server",
        "43 letters, digits, - and _: `tang-show-keys` on it prints them",
    ),
    _pattern(DnsName): ("is no host name", "a full one in lower case: www.example.org"),
}
_TYPES = {
    "string": ("text", 'put it in quotes: "…"'),
    "int": ("a whole number", "write it without quotes or a fraction: 8"),
    "float": ("a number", "write it without quotes: 1.5"),
    "bool": ("true or false", "write true or false, without quotes"),
    "date": ("a date", "write the day without quotes: 2028-12-31"),
    "tuple": ("a list", "put it in brackets: [ … ]"),
    "dict": ("a table", "give it a header of its own or braces: { key = … }"),
    "model": ("a table", "give it a header of its own or braces: { key = … }"),
    "ip_any_address": ("an IP address", "such as 192.0.2.7 or 2001:db8::7"),
    "ip_any_network": (
        "an IP network",
        "its first address with a prefix length, no bits behind it: 192.0.2.0/24",
    ),
}
STAND_IN = "x"
ADDRESSES = "one address, or first-last with the lower one first"
CPUS = "the oldest server it must run on decides: x86-64-v2-AES suits those since about 2010"
_LIMITS = {
    "greater_than": ("gt", "more than"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "less than"),
    "less_than_equal": ("le", "at most"),
}


def translate(
    error: ValidationError, model: type[BaseModel], source: Source, base: Path
) -> Iterator[Mistake]:
    """Each finding as a Mistake; `base` is where the model's data stands in the file."""
    details = error.errors(include_url=False)
    mistyped = {
        (*d["loc"][:-1], near)
        for d in details
        if d["type"] == "extra_forbidden"
        and (near := meant(str(d["loc"][-1]), _fields(model, d["loc"][:-1])))
    }
    for detail in details:
        loc = detail["loc"]
        if detail["type"] == "missing" and loc in mistyped:
            continue  # it is there, misspelt, and that was said
        yield _one(detail, model, source, (*base, *loc))


KEY = "[key]"
"""What pydantic ends a place with that is a table's name, not what is in it."""


def without(error: ValidationError, model: type[BaseModel], data: Any) -> Any:
    """The data without what the error is about; a misspelt key under the right name.

    A name that must be there becomes STAND_IN, which leads nowhere and is not looked for.
    """
    data = deepcopy(data)
    for detail in error.errors(include_url=False):
        *way, last = (part for part in detail["loc"] if part != KEY)
        table: Any = data
        for part in way:
            known = isinstance(table, list) or (isinstance(table, dict) and part in table)
            table = table[part] if known else None
        if isinstance(table, dict) and last in table:
            value = table.pop(last)
            near = meant(str(last), _fields(model, tuple(way)))
            if detail["type"] == "extra_forbidden" and near and near not in table:
                table[near] = value
            elif detail["type"].startswith("string_"):
                table[str(last)] = STAND_IN
    return data


def _one(detail: ErrorDetails, model: type[BaseModel], source: Source, path: Path) -> Mistake:
    kind, loc = detail["type"], detail["loc"]
    if path[-1] == KEY:
        # It is a name of ours that stands for a table, and the table's own name is wrong.
        what, mend = _value(detail, str(path[-3]))
        return source.at_key(path[:-1], what, mend)
    name = next((str(part) for part in reversed(path) if isinstance(part, str)), "")
    if kind == "missing":
        return source.at_key(path[:-1], f"`{name}` is missing", _describe(model, loc))
    if kind == "extra_forbidden":
        fields = _fields(model, loc[:-1])
        return source.at_key(path, f"unknown key `{name}`", suggest(name, fields, "key"))
    what, mend = _value(detail, name)
    return source.at_value(path, what, mend)


def _value(detail: ErrorDetails, name: str) -> tuple[str, str]:
    """(what is wrong with the value, how to mend it)"""
    kind, given, context = detail["type"], _short(detail["input"]), detail.get("ctx", {})
    if kind == "string_pattern_mismatch" and context["pattern"] in _SHAPES:
        wrong, mend = _SHAPES[context["pattern"]]
        return f"`{name}`: {given} {wrong}", mend
    if kind == "literal_error":
        words = str(context["expected"]).replace(" or ", ", ").replace("'", "").split(", ")
        return f"`{name}` cannot be {given}", suggest(str(detail["input"]), words, "value")
    if kind in _LIMITS:
        key, words_ = _LIMITS[kind]
        return f"`{name}` is {given}", f"it must be {words_} {context[key]:g}"
    if kind == "too_short":
        return f"`{name}` has too few entries", f"at least {context['min_length']} is needed"
    if kind == "value_error":
        what = str(detail["msg"]).removeprefix("Value error, ")
        mends = {"cpu": CPUS, "cpu_type": CPUS}
        return f"`{name}`: {what}", mends.get(name, ADDRESSES)
    stem = "int" if kind == "int_from_float" else kind
    for start, (thing, mend) in _TYPES.items():
        if stem.startswith(start):
            return f"`{name}` must be {thing}, not {given}", mend
    return f"`{name}`: {detail['msg'][:1].lower()}{detail['msg'][1:]}", ""


def _short(value: Any) -> str:
    """What was written, as far as a line has room."""
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, bool):
        return str(value).lower()
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _inner(model: type[BaseModel], loc: tuple[int | str, ...]) -> type[BaseModel]:
    """The model of the table at `loc`."""
    for part in loc:
        if isinstance(part, str) and part in model.model_fields:
            found = _models(model.model_fields[part].annotation)
            model = found[0] if found else model
    return model


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [m for a in get_args(annotation) for m in _models(a)]


def _fields(model: type[BaseModel], loc: tuple[int | str, ...]) -> list[str]:
    return list(_inner(model, loc).model_fields)


def _describe(model: type[BaseModel], loc: tuple[int | str, ...]) -> str:
    name = str(loc[-1])
    about = _inner(model, loc[:-1]).model_fields[name].description or ""
    about = about.partition("\n\n")[0].replace("\n", " ")
    return f"add `{name} = …`: {about}" if about else f"add `{name} = …`"
