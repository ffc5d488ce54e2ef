"""The position finder against tomllib: what it finds is what tomllib reads."""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hypothesis import assume, example, given
from hypothesis import strategies as st

from metal.inventory.positions import scan

TOP = Path(__file__).resolve().parents[2]

SPACE = st.sampled_from(["", " ", "\t", "  "])
BREAK = st.sampled_from(["\n", "\n\n", '# comment [x] = "y\n', " # 'a\n\n", "\r\n"])
SCALARS = st.sampled_from(
    [
        "0", "-17", "1_000", "0xdead_beef", "3.14", "-2e-3", "inf", "true", "false",
        "1979-05-27", "07:32:00", "1979-05-27 07:32:00Z", "1979-05-27T07:32:00.5-07:00",
        '""', '"a # b"', '"\\"]}"', "''", "'\\'", "'a]#'", '"é\\u00e9"',
        '""""""', '"""\nx # y\n"""', '"""a"" """', '"""a\\"""b"""', '"""""two"""""',
        "''''''", "'''\n[x]\n'''", "'''it''s'''", "'''''two'''''",
    ]
)  # fmt: skip
KEYS = st.sampled_from(["a", "b-c", "1", '"a.b"', "'q # q'", '"\\t"', "c_d", '""'])


@st.composite
def arrays(draw: st.DrawFn, values: st.SearchStrategy[str]) -> str:
    parts = ["[", draw(BREAK | SPACE)]
    for item in draw(st.lists(values, max_size=3)):
        parts += [item, draw(BREAK | SPACE), ",", draw(BREAK | SPACE)]
    return "".join(parts) + "]"


@st.composite
def inline_tables(draw: st.DrawFn, values: st.SearchStrategy[str]) -> str:
    keys = draw(st.lists(KEYS, unique=True, max_size=3))
    pairs = [f"{draw(SPACE)}{k}{draw(SPACE)}={draw(SPACE)}{draw(values)}" for k in keys]
    return "{" + ",".join(pairs) + draw(SPACE) + "}"


VALUES = st.recursive(SCALARS, lambda v: arrays(v) | inline_tables(v), max_leaves=6)


@st.composite
def documents(draw: st.DrawFn) -> str:
    lines = []
    for _ in range(draw(st.integers(0, 8))):
        kind = draw(st.sampled_from(["pair", "pair", "pair", "table", "array"]))
        if kind == "pair":
            line = f"{'.'.join(draw(st.lists(KEYS, min_size=1, max_size=3)))} = {draw(VALUES)}"
        else:
            path = f"{draw(SPACE)}.{draw(SPACE)}".join(draw(st.lists(KEYS, min_size=1, max_size=3)))
            line = f"[{path}]" if kind == "table" else f"[[{path}]]"
        lines.append(draw(SPACE) + line + draw(SPACE) + draw(BREAK))
    return "".join(lines)


def leaves(data: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Paths of everything but tables."""
    if not isinstance(data, dict):
        yield path
    listed = enumerate(data) if isinstance(data, list) else ()
    for key, value in data.items() if isinstance(data, dict) else listed:
        yield from leaves(value, (*path, key))


def at(data: Any, path: tuple[str | int, ...]) -> Any:
    for part in path:
        data = data[part]
    return data


def check(text: str) -> None:
    data, found = tomllib.loads(text), scan(text)
    for path, (start, end) in found.values.items():
        assert tomllib.loads(f"v = {text[start:end]}")["v"] == at(data, path), path
    for path, offset in found.keys.items():
        at(data, path)
        line, column = found.line_column(offset)
        assert text.split("\n")[line - 1][column - 1 :][:1] == text[offset : offset + 1]
    tables = {p[:-1] for p in found.tables if p and isinstance(p[-1], int)}
    for path in leaves(data):
        assert path in found.values or any(path == t for t in tables), path
    assert not found.again


@given(documents())
@example("a = [\n  1, # ]\n  { b = '''x''', c.d = [[]] },\n]\n[[t]]\nx = 1\n[t.u]\n[[t]]\n")
def test_finds_what_tomllib_reads(text: str) -> None:
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        assume(False)
    check(text)


def test_finds_everything_in_the_repositorys_files() -> None:
    for file in (TOP / "inventory.toml", TOP / "pyproject.toml", *TOP.glob("profiles/**/*.toml")):
        check(file.read_text())


def test_tells_key_and_value_apart_and_falls_back_to_what_is_around() -> None:
    found = scan("[a]\nb = [1,\n  22]\n")
    assert found.key(("a", "b")) == (2, 1)
    assert found.value(("a", "b", 1)) == (3, 3)
    assert found.value(("a", "nothing", "below")) == (1, 2)
    assert found.key(("a", "b", 1, "c")) == (3, 3)
    assert found.value(("nowhere",)) == (1, 1)
