"""The dead man's switch: what nobody confirmed does not last, whatever dies meanwhile."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metal.drivers.trial import DeadMansSwitch, File, Trial
from metal.lab.trials import Trials
from metal.model.errors import Failed, Refused

ONE, TWO, GONE = (f"/etc/network/{name}" for name in ("one", "two.d/two", "gone"))
OLD = {"one": "old\n", "gone": "here\n"}
USE = f"cat {ONE} >>/var/lib/used"


def trial(
    text: str = "new\n", *, check: str = "exit 0", use: str = USE, two: str | None = "2\n"
) -> Trial:
    files = {ONE: File(text), TWO: File(two, 0o600) if two else None, GONE: None}
    return Trial(name="tried", files=files, check=check, use=use)


@pytest.fixture
def before(machine: Any) -> Any:
    for name, text in OLD.items():
        (machine.etc / name).write_text(text)
    (machine.etc / "one").chmod(0o640)
    return machine


def texts(machine: Any) -> dict[str, str]:
    return {
        str(file.relative_to(machine.etc)): file.read_text()
        for file in machine.etc.rglob("*")
        if file.is_file()
    }


def left(machine: Any) -> set[str]:
    return {file.name for file in machine.home.iterdir()}


NEW = {"one": "new\n", "two.d/two": "2\n"}


def test_what_is_confirmed_stays(before: Any) -> None:
    switch, wanted = DeadMansSwitch(before), trial()
    assert switch.begin(wanted, 90)
    assert texts(before) == NEW
    assert (before.etc / "two.d/two").stat().st_mode & 0o777 == 0o600
    assert "--on-active 90" in before.told.read_text()
    assert before.told.read_text().count("AccuracySec=100ms") == 2, "a minute late otherwise"
    assert switch.stands(wanted) is None and switch.keep(wanted) is None, "nothing uses it yet"
    before.fire("metal-trial-tried")
    assert switch.stands(wanted) is True and "before" in left(before), "asking confirms nothing"
    assert (before.var / "used").read_text() == "new\n"
    assert switch.keep(wanted) is True
    assert switch.keep(wanted) is True
    assert not list(before.units.iterdir())
    assert not (before.timers / "metal-trial-tried-back").exists()
    assert not {"before", "back", "gone", "new"} & left(before)
    assert not switch.begin(wanted, 90), "it is as it should be"
    before.power_cut()
    assert texts(before) == NEW


def test_what_nobody_confirms_is_taken_back_and_used(before: Any) -> None:
    switch = DeadMansSwitch(before)
    switch.begin(trial(), 90)
    before.fire("metal-trial-tried")
    before.fire("metal-trial-tried-back")
    assert texts(before) == OLD
    assert (before.etc / "one").stat().st_mode & 0o777 == 0o640
    assert (before.var / "used").read_text() == "new\nold\n"
    with pytest.raises(Failed, match="taken the old one back"):
        switch.keep(trial())
    with pytest.raises(Failed, match="taken the old one back"):
        switch.stands(trial())
    assert not list(before.units.iterdir())
    assert switch.begin(trial(), 90), "it can be tried again"


def test_a_power_cut_brings_the_old_ones_back_before_the_network_is_up(before: Any) -> None:
    switch = DeadMansSwitch(before)
    switch.begin(trial(), 90)
    before.power_cut()
    assert texts(before) == OLD
    with pytest.raises(Failed, match="taken the old one back"):
        switch.keep(trial())


@pytest.mark.parametrize("moment", ["before", "back"])
def test_a_power_cut_while_it_is_taken_back(before: Any, moment: str) -> None:
    """The way back is there until the old files are all in use again."""
    switch = DeadMansSwitch(before)
    switch.begin(trial(), 90)
    if moment == "back":
        (before.home / "before").rename(before.home / "back")
        (before.etc / "gone").write_text("half a")
    before.power_cut()
    assert texts(before) == OLD


def test_an_older_confirmation_says_nothing_of_a_later_trial(before: Any) -> None:
    """Kept, changed by hand, tried again and taken back: it is not kept."""
    switch = DeadMansSwitch(before)
    switch.begin(trial(), 90)
    before.fire("metal-trial-tried")
    assert switch.keep(trial())
    (before.etc / "one").write_text("by hand\n")
    assert switch.begin(trial(), 90)
    before.fire("metal-trial-tried-back")
    with pytest.raises(Failed):
        switch.keep(trial())
    assert texts(before)["one"] == "by hand\n"


def test_the_way_back_is_what_was_confirmed_last(before: Any) -> None:
    """A second trial before the first was confirmed does not make the first the way back."""
    switch = DeadMansSwitch(before)
    switch.begin(trial(), 90)
    switch.begin(trial("newer\n", two=None), 90)
    assert texts(before) == {"one": "newer\n"}
    with pytest.raises(Failed):
        switch.keep(trial())
    before.fire("metal-trial-tried-back")
    assert texts(before) == OLD


def test_what_was_there_is_used_again_where_it_is_what_is_wanted(before: Any) -> None:
    """Another one is in use meanwhile: nothing to write does not mean nothing to do."""
    switch = DeadMansSwitch(before)
    switch.begin(trial(), 90)
    before.fire("metal-trial-tried")
    back = Trial(name="tried", files={ONE: File("old\n")}, check="", use=USE)
    assert switch.begin(back, 90)
    before.fire("metal-trial-tried")
    assert switch.keep(back)
    assert texts(before) == OLD and (before.var / "used").read_text() == "new\nold\n"


def test_nothing_is_touched_where_the_check_finds_it_unfit(before: Any) -> None:
    check = f'grep -q old "$1{ONE}" || {{ echo "line 1: no old in it"; exit 3; }}'
    with pytest.raises(Refused, match="line 1: no old in it"):
        DeadMansSwitch(before).begin(trial(check=check), 90)
    assert texts(before) == OLD
    assert not list(before.units.iterdir()) and before.told.read_text() == ""
    assert not DeadMansSwitch(before).begin(
        Trial(name="tried", files={ONE: File("old\n")}, check=check, use=USE), 90
    )


def test_what_cannot_be_used_is_taken_back_at_once(before: Any) -> None:
    wanted = trial(
        use=f"cat {ONE} >>/var/lib/used; grep old {ONE} || {{ echo unheard of; false; }}"
    )
    switch = DeadMansSwitch(before)
    switch.begin(wanted, 90)
    before.fire("metal-trial-tried")
    with pytest.raises(Failed, match="unheard of"):
        switch.keep(wanted)
    before.fire("now")
    assert texts(before) == OLD and (before.var / "used").read_text() == "new\nold\n"


def test_a_doubt_takes_it_back_at_once(before: Any) -> None:
    switch = DeadMansSwitch(before)
    switch.begin(trial(), 90)
    switch.withdraw(trial())
    before.fire("now")
    assert texts(before) == OLD
    switch.withdraw(trial())


def test_a_name_is_of_letters_digits_and_dashes() -> None:
    with pytest.raises(ValueError, match="name"):
        Trial(name="a b", files={}, check="", use="")


# ── the double says what the shell text says ────────────────────────────────────────────────────

ACTS = st.sampled_from(["begin a", "begin b", "begin c", "keep a", "keep b", "back", "cut"])


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(acts=st.lists(ACTS, min_size=1, max_size=7))
def test_the_double_agrees_with_the_shell_text(
    before: Any, tmp_path_factory: Any, acts: list[str]
) -> None:
    machine = type(before)(tmp_path_factory.mktemp("machine"))
    double = Trials()
    for name, text in OLD.items():
        (machine.etc / name).write_text(text)
        double.files[f"/etc/network/{name}"] = text
    trials = {"a": trial("a\n"), "b": trial("b\n", two=None), "c": trial("old\n")}
    for act in acts:
        verb, _, which = act.partition(" ")
        if verb in ("begin", "keep"):
            ask(machine, double, verb, trials[which])
        else:
            happen(machine, double, verb)
        expected = {f"/etc/network/{path}": text for path, text in texts(machine).items()}
        assert double.files == expected, act


def ask(machine: Any, double: Trials, verb: str, wanted: Trial) -> None:
    """Both, and compare; what is begun is used at once, as the double does."""
    told = [answer(runner, verb, wanted) for runner in (machine, DoubleRunner(double))]
    if told[0] == "True" and verb == "begin":
        machine.fire("metal-trial-tried")
    assert told[0] == told[1], (verb, told)


def answer(runner: Any, verb: str, wanted: Trial) -> str:
    switch = DeadMansSwitch(runner)
    try:
        return str(switch.begin(wanted, 90) if verb == "begin" else switch.keep(wanted))
    except Failed as error:
        return error.what


def happen(machine: Any, double: Trials, what: str) -> None:
    if what == "cut":
        machine.power_cut()
        double.forget()
    elif what == "back" and (machine.timers / "metal-trial-tried-back").exists():
        machine.fire("metal-trial-tried-back")
        (machine.timers / "metal-trial-tried-back").unlink()
        double.take_back("tried")


class DoubleRunner:
    where = "alba1"

    def __init__(self, double: Trials) -> None:
        self._double = double

    def run(self, argv: Any, *, stdin: bytes = b"", timeout: float = 60) -> Any:
        return self._double.answer(argv, stdin)
