"""An adoption as people read it: what was found, what is written, what stays as it is."""

from typing import TYPE_CHECKING, Any

from metal.cli.render.hang import hanging

if TYPE_CHECKING:
    from metal.controller.adopting import Adopted, Difference

INDENT = "  "


def proposed_lines(one: "Adopted", width: int = 80) -> list[str]:
    lines = [*_head(one, width), ""]
    if not one.differences:
        lines.append("The inventory says so already: nothing to write.")
    new = [d for d in one.differences if d.new]
    changed = [d for d in one.differences if not d.new]
    if new:
        lines.append(f"Would add to inventory.toml ({len(new)} tables)")
        lines += [line for d in new for line in _new(d, width)]
    if changed:
        lines.append(f"Would change in inventory.toml ({len(changed)} tables)")
        lines += [line for d in changed for line in _changed(d, width)]
    return lines + _told(one, width)


def adopted_lines(one: "Adopted", width: int = 80) -> list[str]:
    lines = _head(one, width)
    new = sum(d.new for d in one.differences)
    changed = [d for d in one.differences if not d.new]
    lines.append(f"inventory.toml: {new} tables added, {len(changed)} changed")
    lines += [line for d in changed for line in _changed(d, width)]
    lines.append(f"metal logs in as {one.token}" if one.token else "no token is kept")
    return lines + _told(one, width) + ["", "`metal plan` is empty now; `metal status` shows it"]


def _head(one: "Adopted", width: int) -> list[str]:
    called = f" ({one.called})" if one.called and one.called != one.cluster else ""
    what = "cluster" if one.called else "solo machine"
    new = any(d.new and d.table == f"sites.{one.site}" for d in one.differences)
    text = (
        f"Proxmox VE {one.version}, {len(one.servers)} "
        f"server{'s'[: len(one.servers) != 1]} ({', '.join(one.servers)}), {one.vms} "
        f"VM{'s'[: one.vms != 1]}, at {one.site}{', a new site' if new else ''}"
    )
    return hanging(f"{what} {one.cluster}{called}: ", text, width, under=2)


def _new(one: "Difference", width: int) -> list[str]:
    return hanging(f"{INDENT}{one.table}: ", _pairs(one.keys), width, under=6)


def _changed(one: "Difference", width: int) -> list[str]:
    texts = [
        f"{key} {_value(one.was[key])} → {_value(value)}"
        if key in one.was
        else f"{key} {_value(value)}"
        for key, value in one.keys.items()
    ]
    return hanging(f"{INDENT}{one.table}: ", ", ".join(texts), width, under=6)


def _told(one: "Adopted", width: int) -> list[str]:
    if not one.told:
        return []
    return ["", "Left as it is", *(line for t in one.told for line in hanging("- ", t, width))]


def _pairs(keys: dict[str, Any]) -> str:
    return ", ".join(f"{key} {_value(value)}" for key, value in keys.items())


def _value(value: Any) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case dict():
            return f"({_pairs(value)})"
        case list() if value and isinstance(value[0], dict):
            return " + ".join(str(one.get("name", "?")) for one in value)
        case list():
            return " ".join(map(str, value))
        case _:
            return str(value)
