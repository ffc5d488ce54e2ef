"""The list of quirks in the documentation, the switches of the double, and these tests agree."""

import re
from pathlib import Path

from metal.lab.redfish_faults import FAULTS

REPOSITORY = Path(__file__).resolve().parents[3]
LIST = (REPOSITORY / "docs/bmc-quirks.md").read_text()


def test_each_row_names_a_test_that_is_there() -> None:
    rows = re.findall(r"^\| (R\d+) \|(.*)$", LIST, re.M)
    assert [number for number, _ in rows] == [f"R{n:02d}" for n in range(1, 57)]
    for number, text in rows:
        named = re.findall(r"`(\w+)::(\w+)`", text)
        assert named, number
        for file, test in named:
            source = (Path(__file__).parent / f"test_{file}.py").read_text()
            assert f"def {test}(" in source, (number, test)


def test_each_switch_of_the_double_is_used_by_a_test() -> None:
    tests = "".join(p.read_text() for p in (REPOSITORY / "tests").rglob("test_*.py"))
    assert [fault for fault in FAULTS if f'"{fault}"' not in tests] == []
