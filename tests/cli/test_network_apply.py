"""`metal network apply SITE/firewall`: shown, agreed to, and not done twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from metal.controller import walling
from metal.controller.workspace import Workspace
from metal.model.walls import SeenRule, SeenWall, WallOptions, WallRule

Metal = Callable[..., Any]


class Killed(BaseException):
    """As by `kill -9`: nothing of ours runs afterwards."""


class PretendWalls:
    """metal.controller.walling.Seeing, of a cluster that does what it is told."""

    def __init__(self) -> None:
        self.on = False
        self.walls: dict[int, SeenWall] = {}

    def wall(self, vmid: int) -> SeenWall:
        return self.walls.get(vmid, SeenWall())

    def datacenter_on(self) -> bool:
        return self.on

    def ensure_datacenter(self, *, on: bool) -> None:
        self.on = on

    def ensure_opened(self, vmid: int, rules: Sequence[WallRule]) -> None:
        found = {rule.comment: rule for rule in self.wall(vmid).rules}
        found |= {r.comment: SeenRule(comment=r.comment, enabled=True) for r in rules}
        self.walls[vmid] = self.wall(vmid).model_copy(update={"rules": tuple(found.values())})

    def ensure_wall_options(self, vmid: int, options: WallOptions) -> None:
        self.walls[vmid] = self.wall(vmid).model_copy(update={"options": options})

    def ensure_only(self, vmid: int, comments: Sequence[str]) -> None:
        rules = tuple(rule for rule in self.wall(vmid).rules if rule.comment in comments)
        self.walls[vmid] = self.wall(vmid).model_copy(update={"rules": rules})


@pytest.fixture
def walls(monkeypatch: pytest.MonkeyPatch) -> PretendWalls:
    found = PretendWalls()
    monkeypatch.setattr(Workspace, "proxmox", lambda _self, _cluster: found)
    # Nobody is called: nothing answered before, so nothing has to afterwards.
    monkeypatch.setattr(walling, "silent_of", tuple)
    return found


@pytest.fixture
def apply(looked: Path, metal: Metal, tmp_path: Path) -> Callable[..., Any]:
    world = tmp_path / "world.json"
    world.write_text(metal("-C", str(looked), "look", "--last", "-o", "json").out)
    more = ("--world", str(world))
    return lambda *args: metal("-C", str(looked), "network", "apply", *args, *more)


def test_it_is_shown_and_nothing_is_done(
    apply: Callable[..., Any], walls: PretendWalls, golden: Any
) -> None:
    shown = apply("lisbon/firewall", "--plan")
    assert shown.code == 10, shown.err
    golden("network-apply-firewall.txt", shown.out)
    assert not walls.on and not walls.walls


def test_what_was_done_is_not_done_twice(apply: Callable[..., Any], walls: PretendWalls) -> None:
    done = apply("lisbon/firewall", "--yes")
    assert done.code == 0, done.err
    assert walls.on and walls.walls
    again = apply("lisbon/firewall", "--plan")
    assert again.code == 0 and "nothing to do" in again.out


def test_what_a_kill_interrupted_is_gone_on_with_unasked(
    apply: Callable[..., Any], walls: PretendWalls, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(_vmid: int, _options: WallOptions) -> None:
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(walls, "ensure_wall_options", dies)
        apply("lisbon/firewall", "--yes")
    again = apply("lisbon/firewall")  # nobody agrees a second time
    assert again.code == 0 and "going on with what was agreed to before" in again.err, again.err
    assert walls.on and all(wall.options.enable for wall in walls.walls.values())


def test_what_a_person_set_otherwise_is_not_overwritten_unasked(
    apply: Callable[..., Any], walls: PretendWalls
) -> None:
    apply("lisbon/firewall", "--yes")
    number = next(iter(walls.walls))
    walls.ensure_wall_options(number, WallOptions(enable=False))
    refused = apply("lisbon/firewall", "--yes")
    assert refused.code == 3 and "enable 0" in refused.err
    assert walls.wall(number).options.enable is False
    assert apply("lisbon/firewall", "--yes", "--overwrite").code == 0
    assert walls.wall(number).options.enable is True


def test_a_card_that_is_not_given_to_the_firewall_is_told(
    apply: Callable[..., Any], walls: PretendWalls
) -> None:
    apply("lisbon/firewall", "--yes")
    number = next(iter(walls.walls))
    walls.walls[number] = walls.wall(number).model_copy(update={"watched": False})
    assert "not given to the firewall" in apply("lisbon/firewall", "--plan").err


def test_an_unknown_target_is_told(apply: Callable[..., Any], walls: PretendWalls) -> None:
    refused = apply("lisbn/firewall", "--plan")
    assert refused.code == 2 and "lisbon/firewall" in refused.err
