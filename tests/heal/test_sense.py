"""What other places see, what was there before, and when it is we who are cut off."""

from __future__ import annotations

from heal_fleet import inventory

from metal.heal.diagnosis import diagnose
from metal.heal.past import History, Look, Sense
from metal.heal.plan import plan_heal
from metal.model.life import Life
from metal.model.plan import DrainServer
from metal.model.watch import WatchPolicy
from metal.model.world import SeenCluster, SeenServer, World


def world(**told: dict) -> World:
    usual = {"life": Life.MEMBER, "node": "online", "power": "on", "health": "ok"}
    return World(
        servers={n: SeenServer(**{**usual, **told.get(n, {})}) for n in inventory().servers},
        clusters={
            "alba": SeenCluster(formed=True, quorate=True, nodes=("alba1", "alba2", "alba3")),
            "duna": SeenCluster(formed=True, quorate=True, nodes=("duna1",)),
        },
    )


def heal(now: World, past: list[Look] | None = None, **more: object):
    return plan_heal(inventory(), now, past or [], lambda _server: (), **more)


HUNG = {"node": "offline"}
OFF = {"node": "offline", "power": "off"}


def lost_for(seconds: float) -> list[Look]:
    return [Look(ago=seconds, world=world(alba1=HUNG))]


def test_a_suspect_is_fenced_after_so_many_seconds_not_looks() -> None:
    sense = Sense(suspect_seconds=60)
    many = [Look(ago=float(s), world=world(alba1=HUNG)) for s in (50, 40, 30, 20, 10)]
    assert heal(world(alba1=HUNG), many, sense=sense).actions == ()
    (action,) = heal(world(alba1=HUNG), lost_for(60), sense=sense).actions
    assert action.id == "recover:alba1"


def test_a_host_that_answers_somewhere_is_cut_off_and_never_fenced() -> None:
    sense = Sense(views={"here": {"alba1": False}, "utrecht": {"alba1": True}})
    found = heal(world(alba1=HUNG), lost_for(3600), sense=sense)
    assert found.diagnoses["alba1"].state == "cut-off"
    assert "its host answers utrecht" in found.diagnoses["alba1"].evidence
    assert found.actions == ()
    assert "alive but cut off" in found.holds["server alba1"]


def test_a_bmc_that_says_off_of_a_host_that_answers_is_not_believed() -> None:
    sense = Sense(views={"here": {"alba1": True}})
    found = heal(world(alba1=OFF), sense=sense)
    assert found.diagnoses["alba1"].state == "cut-off"
    assert found.actions == ()


def test_where_nobody_reaches_it_the_bmc_is_believed() -> None:
    sense = Sense(views={"here": {"alba1": False}, "utrecht": {"alba1": False}})
    found = heal(world(alba1=OFF), sense=sense)
    assert found.diagnoses["alba1"].state == "dead"
    assert "its host answers nobody at here, utrecht" in found.diagnoses["alba1"].evidence
    assert [a.id for a in found.actions] == ["recover:alba1"]


def test_several_sites_silent_at_once_is_our_own_blindness() -> None:
    dark = {"node": "unknown", "power": "unknown", "health": "unknown"}
    found = heal(world(**dict.fromkeys(inventory().servers, dark)))
    assert {d.state for d in found.diagnoses.values()} == {"blind"}
    assert found.actions == ()
    assert "it may be this watcher that is cut off" in found.holds["fleet"]
    assert not [key for key in found.holds if key.startswith("site")]


def test_one_site_silent_is_the_sites() -> None:
    dark = {"node": "unknown", "power": "unknown", "health": "unknown"}
    found = heal(world(alba1=dark, alba2=dark, alba3=dark))
    assert found.diagnoses["alba1"].state == "site-trouble"
    assert list(found.holds) == ["site lisbon"]


PSU = {"health": "warning", "reasons": ("PSU 2: input lost",)}


def test_a_warning_that_lasts_and_is_new_means_failing() -> None:
    twice = [Look(ago=10, world=world(alba1=PSU))]
    assert heal(world(alba1=PSU)).diagnoses["alba1"].state == "healthy"
    found = heal(world(alba1=PSU), twice)
    assert found.diagnoses["alba1"].state == "degrading"
    assert found.diagnoses["alba1"].signs == ("power supply",)
    assert isinstance(found.actions[0], DrainServer)


def test_what_a_server_complained_of_from_the_start_is_no_news() -> None:
    twice = [Look(ago=10, world=world(alba1=PSU))]
    sense = Sense(known={"alba1": ("power supply",)})
    assert diagnose(inventory(), world(alba1=PSU), twice, sense)["alba1"].state == "healthy"


def test_a_server_that_keeps_failing_is_emptied_while_it_is_well() -> None:
    often = History(failures={"alba1": 3})
    (action,) = heal(world(), history=often, policy=WatchPolicy(flaps=3)).actions
    assert (action.id, action.why) == ("drain:alba1", "it failed 3 times in 24 hours")
    assert heal(world(), history=often, policy=WatchPolicy(flaps=4)).actions == ()


def test_the_limit_of_an_hour_holds_for_the_whole_fleet() -> None:
    found = heal(
        world(alba1=OFF), history=History(acted=(10.0, 20.0)), policy=WatchPolicy(actions_an_hour=2)
    )
    assert found.actions == ()
    assert "nothing is done about alba1" in found.holds["fleet"]
