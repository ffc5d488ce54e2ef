"""corosync.conf: which links its nodes have, and how one comes to others while corosync runs.

corosync takes a link added or removed while it runs, and none whose address changes: that is
removed and added as another, and one that works must be there at any time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

LINKS = 8
"""That corosync knows: 0 to 7."""


@dataclass
class Section:
    """Keys and sections, in their order."""

    entries: list[tuple[str, "str | Section"]] = field(default_factory=list)

    def sections(self, name: str) -> "list[Section]":
        return [at for key, at in self.entries if key == name and isinstance(at, Section)]

    def get(self, name: str) -> str:
        return next((at for key, at in self.entries if key == name and isinstance(at, str)), "")

    def put(self, name: str, value: "str | Section") -> None:
        self.drop(name)
        self.entries.append((name, value))

    def drop(self, name: str) -> None:
        self.entries = [entry for entry in self.entries if entry[0] != name]


def parse(text: str) -> Section:
    """ValueError where it is no corosync.conf."""
    stack = [Section()]
    for line in (line.strip() for line in text.splitlines()):
        if not line or line.startswith("#"):
            continue
        if line.endswith("{"):
            inner = Section()
            stack[-1].entries.append((line[:-1].strip(), inner))
            stack.append(inner)
        elif line == "}" and len(stack) > 1:
            stack.pop()
        elif ":" in line:
            key, _, value = line.partition(":")
            stack[-1].entries.append((key.strip(), value.strip()))
        else:
            raise ValueError(f"{line!r} is no line of a corosync.conf")
    if len(stack) > 1:
        raise ValueError("a section of it does not end")
    return stack[0]


def render(section: Section, indent: str = "") -> str:
    """As Proxmox writes it."""
    lines = []
    for key, at in section.entries:
        if isinstance(at, Section):
            lines.append(f"{indent}{key} {{\n{render(at, indent + '  ')}{indent}}}\n")
        else:
            lines.append(f"{indent}{key}: {at}\n")
    return ("\n" if not indent else "").join(lines)


def rings_of(conf: Section) -> dict[str, dict[int, str]]:
    """Node → number of a link → its address there."""
    found = {}
    for node in (n for nodes in conf.sections("nodelist") for n in nodes.sections("node")):
        found[node.get("name")] = {
            int(key.removeprefix("ring").removesuffix("_addr")): value
            for key, value in node.entries
            if key.startswith("ring") and key.endswith("_addr") and isinstance(value, str)
        }
    return found


def changed(text: str, wanted: Mapping[str, Sequence[str]]) -> list[str]:
    """Texts to go through, the last with the wanted links; empty where they are there.

    `wanted`: node → its addresses, the best first, as many for each. First what is missing is
    added, then what is not wanted goes: a link that works stays all the while. ValueError where
    nodes differ, or links are none.
    """
    rings = rings_of(parse(text))
    if rings.keys() != wanted.keys() or len({len(w) for w in wanted.values()}) != 1:
        raise ValueError(f"it is of {', '.join(sorted(rings))}, asked for {', '.join(wanted)}")
    links = [
        {node: addresses[at] for node, addresses in wanted.items()}
        for at in range(len(next(iter(wanted.values()))))
    ]
    there = {
        number: {node: has.get(number, "") for node, has in rings.items()}
        for number in sorted({n for has in rings.values() for n in has})
    }
    kept = {number: link for number, link in there.items() if link in links}
    missing = [link for link in links if link not in kept.values()]
    free = [number for number in range(LINKS) if number not in there]
    if not links or len(missing) > len(free):
        raise ValueError("it would have no link, or more than eight")
    added = dict(zip(free, missing, strict=False))
    texts = []
    if added:
        texts.append(_written(text, there | added, links))
    if len(kept) < len(there):
        texts.append(_written(texts[-1] if texts else text, kept | added, links))
    return texts


def _written(
    text: str, links: Mapping[int, Mapping[str, str]], best: Sequence[Mapping[str, str]]
) -> str:
    """With these links; the higher a priority, the rather corosync takes it."""
    conf = parse(text)
    for node in (n for nodes in conf.sections("nodelist") for n in nodes.sections("node")):
        for number in range(LINKS):
            node.drop(f"ring{number}_addr")
        for number, link in sorted(links.items()):
            node.put(f"ring{number}_addr", link[node.get("name")])
    (totem,) = conf.sections("totem")
    before = {int(i.get("linknumber") or 0): i for i in totem.sections("interface")}
    totem.drop("interface")
    for number, link in sorted(links.items()):
        interface = before.get(number, Section([("linknumber", str(number))]))
        rank = len(best) - best.index(link) if link in best else 0
        interface.put("knet_link_priority", str(rank))
        totem.entries.append(("interface", interface))
    version = int(totem.get("config_version")) + 1
    totem.entries = [
        (key, str(version) if key == "config_version" else value) for key, value in totem.entries
    ]
    return render(conf)
