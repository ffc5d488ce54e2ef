"""A burn-in from the command to the record: booted, followed, graded, killed and resumed."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import requests

from metal.burnin.flow import BurnInPorts, Wishes, burnin
from metal.controller import live_work
from metal.controller.knowing import known
from metal.controller.progress import silent
from metal.live.session import LiveSession, Patience
from metal.model.errors import BadInput, Unreachable
from metal.model.life import Life, Status
from metal.operations.run import perform

ONE_MINUTE = Wishes(1, overwrite=True)


def burn(rack: Any, *names: str, serving: bool = True) -> list[live_work.Worked]:
    return live_work.burn_in(rack, names, ONE_MINUTE, progress=silent, serving=serving)


def test_three_side_by_side_and_one_bad_stops_none(rack: Any) -> None:
    rack.machines["alba2"].faults |= {"disk-smart", "disk-slow", "dimm"}
    rack.machines["alba3"].complaints = ("PSU 2: power supply failure detected",)
    good, ill, psu = burn(rack, "alba1", "alba2", "alba3")
    assert good.burnin and ill.burnin and psu.burnin
    fine = good.burnin.appraisal
    assert (fine.grade, fine.verdict, fine.watts, fine.usable_gib) == ("A", "accept", 168, 48)
    assert (fine.watts_per_gib, fine.fits) == (3.5, "alba")
    assert good.burnin.evidence.disks and good.burnin.evidence.disks[0].written_mib
    assert ill.burnin.appraisal.verdict == "repair"
    assert ill.burnin.appraisal.repair == ("DIMM A2", "disk serial S2B (sdb)")
    assert {m.what for m in ill.burnin.appraisal.marks if "S2B" in m.part} >= {
        "24 sectors cannot be read",
        "failed its self-test",
        "reads 96 MiB/s where its brothers do 480",
    }
    assert psu.burnin.appraisal.repair == ("PSU 2",)
    assert [rack.life(n) for n in rack.machines] == [Life.TESTED, Life.ENROLLED, Life.ENROLLED]
    assert [r.exit_code for r in (good, ill, psu)] == [0, 1, 1]
    assert {m.power for m in rack.machines.values()} == {"off"}, "as they were before"
    assert known(rack, "alba2").burnin == ill.burnin
    assert "repair: DIMM A2, disk serial S2B" in rack.store.servers.get("alba2").note


def test_written_only_what_may_be(rack: Any) -> None:
    rack.machines["alba1"].disks["sda"].system = "debian trixie"
    (one,) = burn(rack, "alba1")
    assert one.burnin and one.burnin.evidence.disks
    assert [d.written_mib for d in one.burnin.evidence.disks] == [None, 4096]
    (two,) = live_work.burn_in(rack, ["alba2"], Wishes(1), progress=silent)
    assert two.burnin and two.burnin.evidence.disks
    assert [d.written_mib for d in two.burnin.evidence.disks] == [None, None]


def test_power_is_as_before(rack: Any) -> None:
    rack.machines["alba1"].power_on()
    burn(rack, "alba1")
    assert rack.calls[-1] == "alba1 on"
    assert rack.machines["alba1"].boot.device == "disk"


@pytest.mark.parametrize("life", [Life.FOUND, Life.INSTALLED, Life.MEMBER, Life.DRAINING])
def test_refused_where_anything_runs(rack: Any, life: Life) -> None:
    path = [Life.INSTALLED, Life.MEMBER, Life.DRAINING]
    for step in path[: path.index(life) + 1] if life in path else ():
        rack.store.servers.move("alba1", step)
    if life is Life.FOUND:
        rack.store.servers.move("alba1", Life.RETIRED)
        rack.store.servers.move("alba1", Life.FOUND)
    (one,) = burn(rack, "alba1")
    assert (one.ok, one.exit_code) == (False, 3)
    assert rack.calls == [], "its power was not touched"
    held = rack.store.journal.list(open_only=True)
    assert not held, "nothing stays open that would keep it from being enrolled"


def test_unknown_server_is_told(rack: Any) -> None:
    with pytest.raises(BadInput, match="alba4"):
        burn(rack, "alba4")


def cut_under_load(rack: Any, then: Callable[[], None] = lambda: None) -> live_work.Worked:
    """Burnt in, and its power cut as soon as it tells of its memory test."""
    machine, told = rack.machines["alba1"], rack.store.jobs.tell

    def cut(token: str, phase: str, fraction: float, text: str) -> bool:
        if phase == "memory":
            machine.power_off()
            then()
        return bool(told(token, phase, fraction, text))

    rack.store.jobs.tell = cut
    (one,) = burn(rack, "alba1")
    return one


def test_a_machine_that_dies_under_load_is_refused(rack: Any) -> None:
    one = cut_under_load(rack)
    assert one.burnin is not None, one.error
    assert one.burnin.evidence.died_in == "memory"
    assert (one.burnin.appraisal.grade, one.burnin.appraisal.verdict) == ("F", "refuse")
    assert rack.life("alba1") is Life.ENROLLED


def test_a_way_that_died_is_no_machine_that_died(
    rack: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_health(_bmc: Any) -> Any:
        raise Unreachable("no answer", where="alba1")

    kind = type(rack.bmc("alba1"))
    one = cut_under_load(rack, lambda: monkeypatch.setattr(kind, "health", no_health))
    assert one.burnin is not None, one.error
    assert (one.burnin.evidence.died_in, one.burnin.appraisal.grade) == (None, "unknown")
    assert one.burnin.appraisal.marks[0].what == (
        "it fell silent during memory, and so did its BMC: it, or the way to both; run it again"
    )


def test_a_bmc_that_ignores_boot_once_is_found_out(rack: Any) -> None:
    rack.machines["alba1"].on_boot = lambda _machine, _boot: None  # boots what is on its disk
    live = replace(live_work.live_ports(rack), patience=Patience(boot=0.1, poll=0.01))
    ports = BurnInPorts(live, rack.inventory)
    operation = rack.store.journal.open("burnin", "alba1", ["server alba1"], {}, 1)
    outcome = perform(
        rack.store, operation, lambda run: burnin(run, "alba1", ONE_MINUTE, ports), version=1
    )
    assert outcome.status is Status.FAILED
    assert "booted 3 times and did not fetch its job" in outcome.error
    assert rack.calls.count("alba1 network") == 3
    assert rack.store.servers.get("alba1").status is Status.FAILED


def test_an_unfinished_one_with_other_wishes_is_named(rack: Any) -> None:
    begun = rack.store.journal.open(
        "burnin", "alba1", ["server alba1"], {"minutes": 10.0, "overwrite": True}, 1
    )
    (one,) = live_work.burn_in(rack, ["alba1"], Wishes(1.0), progress=silent)
    assert (one.ok, one.exit_code) == (False, 3)
    assert one.error == (
        "alba1: a burn-in of 10 minutes that writes on blank disks is not finished, and this would "
        "be one of 1 minute\n  → `metal burnin alba1 --minutes 10 --overwrite-blank-disks` goes on "
        f"with it; metal run cancel {begun.id} gives it up"
    )
    assert rack.calls == []


def test_boots_its_disk_without_an_open_job(served: Any) -> None:
    query = {"mac": "02:00:5e:00:01:01"}
    script = requests.get(f"{served.boot_url}/boot", query, timeout=5).text
    assert "sanboot" in script and "metal.job" not in script


def test_a_job_is_handed_out_once(served: Any) -> None:
    store = served.store
    operation = store.journal.open("burnin", "alba1", ["server alba1"], {}, 1)
    store.jobs.open(
        "alba1", ("02:00:5E:00:01:09", "02-00-5E-00-01-01"), None, {"kind": "burnin"}, operation.id
    )
    query = {"mac": "02:00:5e:00:01:01", "uuid": "4c4c4544-0042-4a10-8036-b4c04f4d0001"}
    scripts = [requests.get(f"{served.boot_url}/boot", query, timeout=5).text for _ in range(2)]
    old, new = (s.partition("metal.job=")[2].split()[0] for s in scripts)
    url = f"{served.boot_url}/job"
    assert requests.get(f"{url}/{old}", timeout=5).status_code == 404, "a script makes it stale"
    assert requests.post(f"{url}/{new}/evidence/cpu", json={}, timeout=5).status_code == 404
    assert requests.head(f"{url}/{new}", timeout=5).status_code == 405
    assert requests.get(f"{url}/{new}", timeout=5).json() == {"kind": "burnin"}
    assert requests.get(f"{url}/{new}", timeout=5).status_code == 410
    assert "sanboot" in requests.get(f"{served.boot_url}/boot", query, timeout=5).text
    assert requests.post(f"{url}/{new}/evidence/cpu", json={"a": 1}, timeout=5).status_code == 200
    large = {"a": "x" * 2**20}
    assert requests.post(f"{url}/{new}/evidence/cpu", json=large, timeout=5).status_code == 413
    assert requests.post(f"{url}/{new}/evidence/.x", json={}, timeout=5).status_code == 400
    assert store.jobs.found(operation.id) == {"cpu": {"a": 1}}
    told = {"phase": "cpu", "fraction": 7, "text": "a\x1b[2Jb\n"}
    assert requests.post(f"{url}/{new}/progress", json=told, timeout=5).status_code == 200
    assert (store.jobs.of(operation.id).text, store.jobs.of(operation.id).fraction) == ("a[2Jb", 1)
    store.journal.cancel(operation.id)
    assert requests.post(f"{url}/{new}/evidence/cpu", json={}, timeout=5).status_code == 404
    counts = requests.get(f"{served.boot_url}/healthz", timeout=5).json()["counts"]
    assert counts["job_again"] == 1 and counts["unknown_token"] >= 3


@pytest.mark.parametrize(
    "path", ["/live/../../inventory.toml", "/live/zz/linux", "/live/1ab0000000000000/manifest.json"]
)
def test_only_the_two_files(served: Any, path: str) -> None:
    assert requests.get(served.boot_url + path, timeout=5).status_code == 404


class Killed(BaseException):
    """As SIGKILL is: no flow can take it for a failure."""


class Deadly:
    """A Run that dies at its `at`-th step or wait, after it acted and before that is recorded."""

    def __init__(self, run: Any, at: int) -> None:
        self._run, self._left = run, at

    def __getattr__(self, name: str) -> Any:
        return getattr(self._run, name)

    def step(self, name: str, act: Any, **options: Any) -> Any:
        return self._run.step(name, self._mortal(act, lambda _result: True), **options)

    def wait(self, name: str, ready: Any, **options: Any) -> Any:
        return self._run.wait(name, self._mortal(ready, lambda seen: seen is not None), **options)

    def _mortal(self, act: Any, over: Any) -> Any:
        self._left -= 1
        if self._left != -1:
            return act

        def dies() -> Any:
            result = act()
            if over(result):
                raise Killed
            return result

        return dies


STEPS = 15
"""Of the flow, when all goes well and the power was off before."""


def test_killed_after_every_step_it_ends_the_same(served: Any) -> None:
    ports = BurnInPorts(live_work.live_ports(served), served.inventory)
    params = {"minutes": 1, "overwrite": True}
    ends: list[Status | None] = []
    # A slow machine may need a step more: it is looked at once again. There is an end to it.
    for at in range(2 * STEPS):
        operation = served.store.journal.open("burnin", "alba1", ["server alba1"], params, 1)
        try:
            flow = partial(dying_burnin, at=at, ports=ports)
            ends.append(perform(served.store, operation, flow).status)
        except Killed:
            ends.append(None)
        if ends[-1] is not None:
            break
    assert len(ends) > STEPS and ends[-1] is Status.DONE
    burnt = known(served, "alba1").burnin
    assert burnt and burnt.appraisal.grade == "A"
    assert served.life("alba1") is Life.TESTED
    assert served.machines["alba1"].power_ons == 1, "a machine at work is never switched"
    assert not served.store.journal.list(open_only=True)


def dying_burnin(run: Any, *, at: int, ports: BurnInPorts) -> None:
    burnin(Deadly(run, at), "alba1", ONE_MINUTE, ports)  # type: ignore[arg-type]


def test_resumed_while_the_machine_works_its_power_is_left_alone(served: Any) -> None:
    ports = live_work.live_ports(served)
    operation = served.store.journal.open("burnin", "alba1", ["server alba1"], {}, 1)
    served.store.jobs.open("alba1", ("02:00:5e:00:01:01",), None, {"kind": "burnin"}, operation.id)
    served.store.jobs.boot("02:00:5e:00:01:01", (), "hash")
    served.store.jobs.take("hash")

    def flow(run: Any) -> None:
        LiveSession(run, "alba1", ports).start(("02:00:5e:00:01:01",), None, {"kind": "burnin"})

    assert perform(served.store, operation, flow).status is Status.DONE
    assert served.calls == []


def test_a_live_system_that_never_begins_is_no_grade(rack: Any) -> None:
    machine = rack.machines["alba1"]
    take = rack.store.jobs.take

    def taken_and_gone(token: str) -> Any:
        machine.power_off()  # its network card's driver hangs, say
        return take(token)

    rack.store.jobs.take = taken_and_gone
    (one,) = burn(rack, "alba1")
    assert (one.burnin, one.exit_code) == (None, 1)
    assert "before anything was tested" in (one.error or "")
    assert rack.life("alba1") is Life.ENROLLED
    assert rack.store.records.get("alba1", "burnin") is None
