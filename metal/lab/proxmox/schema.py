"""Judge a request by the schema of Proxmox VE 9.2, with the words of PVE::JSONSchema.

Parameters come as strings, as from a form; what is well-typed comes out as str, int, float or
list. Booleans are 0 or 1 and nothing else, as in Proxmox.
"""

import functools
import json
import re
from collections.abc import Iterator
from typing import Any

from metal.lab.proxmox.carry import API, API_8
from metal.lab.proxmox.errors import ApiError, bad_parameters
from metal.lab.proxmox.formats import well_formed

Parameters = dict[str, Any]

MISSING = "property is missing and it is not optional"
UNKNOWN = "property is not defined in schema and the schema does not allow additional properties"
# The section configs' oneOf has lost the names of its branches: their order is by name.
BRANCHES = {"strict": "node-affinity", "affinity": "resource-affinity"}


class Schema:
    """path → method → call, and which path a request's path is."""

    def __init__(self, carried: dict[str, Any]) -> None:
        self.paths: dict[str, dict[str, Any]] = carried["paths"]
        self._others: dict[str, set[str]] = {
            path: set(methods.split()) for path, methods in carried["others"].items()
        }
        self._by_length: dict[int, list[tuple[list[str], str]]] = {}
        for path in [*self.paths, *self._others]:
            parts = path.strip("/").split("/")
            self._by_length.setdefault(len(parts), []).append((parts, path))
        for known in self._by_length.values():
            # A literal part wins over a placeholder: /nodes/{node}/disks/list.
            known.sort(key=lambda entry: [part.startswith("{") for part in entry[0]])

    def find(self, method: str, path: str) -> tuple[str, dict[str, str]]:
        """The template of `path` and what stands in its placeholders; ApiError 501 if none."""
        given = path.strip("/").split("/")
        for parts, template in self._by_length.get(len(given), []):
            if all(p.startswith("{") or p == g for p, g in zip(parts, given, strict=True)):
                if method in self.paths.get(template, {}):
                    inside = zip(parts, given, strict=True)
                    return template, {p[1:-1]: g for p, g in inside if p.startswith("{")}
                if method in self._others.get(template, ()):
                    raise ApiError(501, f"The lab does not simulate '{method} {template}'")
        raise ApiError(501, f"Method '{method} {path}' not implemented")


@functools.cache
def schema(major: int = 9) -> Schema:
    """The carried part, of Proxmox VE 9.2 or 8.4."""
    return Schema(json.loads((API if major >= 9 else API_8).read_text()))


def judge(parameters: dict[str, Any], given: Parameters) -> Parameters:
    """The well-typed parameters; ApiError 400 with every mistake at once."""
    errors: dict[str, str] = {}
    good = _object(parameters, given, errors)
    if errors:
        raise bad_parameters(errors)
    return good


def _object(rule: dict[str, Any], given: Parameters, errors: dict[str, str]) -> Parameters:
    properties = _flatten(rule, given, errors)
    good: Parameters = {}
    for name, value in given.items():
        prop = properties.get(name) or properties.get(_indexed(name))
        if prop is None:
            if not rule.get("additionalProperties", not properties):
                errors[name] = UNKNOWN
            else:
                good[name] = value
            continue
        try:
            good[name] = _value(prop, value)
        except ValueError as error:
            errors[name] = str(error)
        needs = prop.get("requires")
        if needs and needs not in given:
            errors[needs] = f"missing property - '{name}' requires this property"
    for name, prop in properties.items():
        if name not in given and not prop.get("optional") and "[n]" not in name:
            errors.setdefault(name, MISSING)
    return good


def _indexed(name: str) -> str:
    """net0 → net[n]."""
    return re.sub(r"(0|[1-9]\d*)$", "[n]", name)


def _flatten(
    rule: dict[str, Any], given: Parameters, errors: dict[str, str]
) -> dict[str, dict[str, Any]]:
    """All properties that may be given: allOf adds up, of oneOf the branch of the given type."""
    properties = dict(rule.get("properties", {}))
    for part in rule.get("allOf", []):
        properties |= _flatten(part, given, errors)
    branches = {_branch(part): part for part in rule.get("oneOf", [])}
    if branches:
        key = rule["type-property"]
        wanted = str(given.get(key, ""))
        properties[key] = {"type": "string", "enum": sorted(branches)}
        properties |= branches.get(wanted, {}).get("properties", {})
        if wanted not in branches:  # Say only what is wrong with the type.
            for part in branches.values():
                loose = {n: p | {"optional": 1} for n, p in part["properties"].items()}
                properties |= loose
    return properties


def _branch(part: dict[str, Any]) -> str:
    return next(name for key, name in BRANCHES.items() if key in part["properties"])


def _value(prop: dict[str, Any], value: Any) -> Any:
    """The value as its type; ValueError with Proxmox's words."""
    kind = prop.get("type", "string")
    if kind == "array":
        values = value if isinstance(value, list) else [value]
        return [_value(prop.get("items", {}), one) for one in values]
    if isinstance(value, list):
        value = "\0".join(value)
    typed = _typed(kind, str(value))
    for complaint in _complaints(prop, kind, str(value)):
        raise ValueError(complaint)
    return typed


def _typed(kind: str, value: str) -> str | int | float:
    wrong = f"type check ('{kind}') failed - got '{value}'"
    if kind == "boolean":
        if value not in {"0", "1"}:
            raise ValueError(wrong)
        return int(value)
    if kind == "integer":
        if not re.fullmatch(r"[+-]?\d+", value):
            raise ValueError(wrong)
        return int(value)
    if kind == "number":
        try:
            return float(value)
        except ValueError:
            raise ValueError(wrong) from None
    return value


def _complaints(prop: dict[str, Any], kind: str, value: str) -> Iterator[str]:
    name = prop.get("format")
    if isinstance(name, str) and not well_formed(name, value):
        yield f"invalid format - value '{value}' does not look like a valid {name}\n"
    if "pattern" in prop and not _pattern(prop["pattern"]).fullmatch(value):
        yield "value does not match the regex pattern"
    if "maxLength" in prop and len(value) > int(prop["maxLength"]):
        yield f"value may only be {prop['maxLength']} characters long"
    if "minLength" in prop and len(value) < int(prop["minLength"]):
        yield f"value must be at least {prop['minLength']} characters long"
    if "enum" in prop and value not in [str(one) for one in prop["enum"]]:
        allowed = ", ".join(str(one) for one in prop["enum"])
        yield f"value '{value}' does not have a value in the enumeration '{allowed}'"
    if kind in {"integer", "number"}:
        if "minimum" in prop and float(value) < float(prop["minimum"]):
            yield f"value must have a minimum value of {prop['minimum']}"
        if "maximum" in prop and float(value) > float(prop["maximum"]):
            yield f"value must have a maximum value of {prop['maximum']}"


@functools.cache
def _pattern(perl: str) -> re.Pattern[str]:
    """Perl's stringified (?^i:…) is Python's (?i:…)."""
    return re.compile(re.sub(r"\(\?\^(\w*):", lambda m: f"(?{m[1]}:", perl))
