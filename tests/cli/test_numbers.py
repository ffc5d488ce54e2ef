"""A number that is none, of an option of each kind."""

import pytest

from metal.cli import main


@pytest.mark.parametrize("number", ["nan", "inf", "1e400", "-inf", "x"])
@pytest.mark.parametrize(
    "words", [["burnin", "alba1", "--minutes"], ["watch", "--every"], ["lab", "up", "--speed"]]
)
def test_it_is_bad_input_before_anything_is_done(
    words: list[str], number: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, number]) == 2
    assert "Invalid value" in capsys.readouterr().err
