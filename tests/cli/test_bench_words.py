"""What `python -m metal.lab.bench` is told: nothing is measured for words that it does not know."""

import pytest

from metal.lab.bench import __main__ as bench


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    done: list[str] = []
    for name in bench.PARTS:
        monkeypatch.setitem(bench.PARTS, name, lambda name=name: done.append(name))
    return done


def test_help_names_the_parts(capsys: pytest.CaptureFixture[str], measured: list[str]) -> None:
    assert bench.main(["--help"]) == 0
    said = capsys.readouterr().out
    assert all(name in said for name in ("usage", *bench.PARTS)) and not measured


def test_an_unknown_part_is_bad_input(
    capsys: pytest.CaptureFixture[str], measured: list[str]
) -> None:
    assert bench.main(["sweep", "sweeep"]) == 2
    assert "sweeep" in capsys.readouterr().err and not measured


def test_all_of_them_or_those_that_are_named(measured: list[str]) -> None:
    assert bench.main(["looks", "sweep"]) == 0 and measured == ["looks", "sweep"]
    assert bench.main([]) == 0 and measured[2:] == list(bench.PARTS)
