"""How `metal cluster adopt` and `repin` get to a login: which certificate, whose password."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from metal.cli import main
from metal.controller.adopting import split_url

from .conftest import BARE, NET, Foreign

Metal = Callable[..., tuple[int, str]]
WRONG = ":".join(["AA"] * 32)
TICKET = "POST access/ticket"


@pytest.fixture
def metal(
    workspace: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Metal:
    """(exit code, all that it said) of the command, with root's password and without a terminal."""
    monkeypatch.delenv("METAL_PVE_TOKEN", raising=False)
    monkeypatch.setenv("METAL_PVE_PASSWORD", "secret-root")

    def run(*words: str) -> tuple[int, str]:
        capsys.readouterr()
        code = main(["-C", str(workspace.folder), *words])
        said = capsys.readouterr()
        workspace.reload()
        return code, " ".join((said.out + said.err).split())

    return run


@pytest.fixture
def alone(foreign: Any) -> Foreign:
    node: Foreign = foreign("pve")
    return node


def test_a_certificate_that_nobody_confirmed_gets_no_password(alone: Foreign, metal: Metal) -> None:
    code, said = metal("cluster", "adopt", alone.url)
    assert code == 3 and "nobody can be asked whether that is the right certificate" in said
    assert "--fingerprint" in said and not alone.datacenter.counts[TICKET]
    code, _ = metal("cluster", "adopt", alone.url, "--dry-run", "--fingerprint", alone.pins["pve"])
    assert code == 0 and alone.datacenter.counts[TICKET]


def test_a_site_that_is_none_of_yours_is_told_to_be_new(alone: Foreign, metal: Metal) -> None:
    look = ("cluster", "adopt", alone.url, "--dry-run", "--fingerprint", alone.pins["pve"])
    assert "at nosuch, a new site" in metal(*look, "--site", "nosuch")[1]


def test_one_that_is_pinned_is_confirmed(alone: Foreign, metal: Metal, workspace: Any) -> None:
    assert metal("cluster", "adopt", alone.url, "--yes")[0] == 0
    assert metal("cluster", "adopt", alone.url, "--dry-run")[0] == 0
    workspace.store.servers.unpin("pve")
    workspace.store.servers.pin("pve", WRONG)
    asked = alone.datacenter.counts[TICKET]
    code, said = metal("cluster", "adopt", alone.url, "--yes")
    assert code == 3 and "is pinned" in said and "cluster repin pve" in said
    assert alone.datacenter.counts[TICKET] == asked


def test_two_workspaces_of_one_name_do_not_break_each_other_unasked(
    alone: Foreign,
    metal: Metal,
    workspace: Any,
    tmp_path: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert metal("cluster", "adopt", alone.url, "--yes")[0] == 0
    other = tmp_path / "other"
    other.mkdir()
    (other / "inventory.toml").write_text(BARE)
    again = ("-C", str(other), "cluster", "adopt", alone.url)
    confirmed = ("--fingerprint", alone.pins["pve"])
    code, said = metal(*again, *confirmed)
    assert code == 3 and "make the token metal@pve!attic anew" in said
    assert "another workspace may log in with it" in said
    assert workspace.hypervisor("pve").lacking() == frozenset()
    assert metal(*again, "--yes")[0] == 0
    monkeypatch.delenv("METAL_PVE_PASSWORD")
    code, said = metal("plan")
    assert "the token metal@pve!attic is not valid any more (401): another workspace may" in said
    monkeypatch.setenv("METAL_PVE_PASSWORD", "secret-root")
    code, said = metal("cluster", "adopt", alone.url)
    assert code == 3 and "another workspace may log in with it" in said


def test_a_token_of_our_own_that_lacks_something_is_no_strangers(
    alone: Foreign, metal: Metal, workspace: Any
) -> None:
    """After an upgrade of Proxmox: the role is of privileges that the old release knew."""
    assert metal("cluster", "adopt", alone.url, "--yes")[0] == 0
    alone.datacenter.node_at("pve").cluster.roles["Metal"] -= {"SDN.Use"}
    assert workspace.hypervisor("pve").lacking() == {"SDN.Use"}
    code, said = metal("cluster", "adopt", alone.url, "--yes")
    assert code == 0 and "another workspace" not in said
    assert workspace.hypervisor("pve").lacking() == frozenset()


@pytest.mark.parametrize("text", ["[2001:DB8:0:0::5]:8006", "https://[2001:db8::5]"])
def test_an_address_is_told_as_the_inventory_has_it(text: str) -> None:
    """By it the certificate is found that was pinned before."""
    assert split_url(text) == ("2001:db8::5", 8006)


def test_a_wrong_password_is_the_one_that_was_given(
    alone: Foreign, metal: Metal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("METAL_PVE_PASSWORD", "wrong")
    code, said = metal("cluster", "adopt", alone.url, "--yes")
    address = f"{NET}.1"
    assert code == 3 and f"{address}: it does not let root@pam in with the password that" in said
    assert f"{address}: {address}" not in said and "escrowed" not in said


@pytest.mark.parametrize("given", ["AA:BB", "zz"])
@pytest.mark.parametrize("verb", ["adopt", "repin"])
def test_half_a_fingerprint_is_none(metal: Metal, verb: str, given: str) -> None:
    code, said = metal("cluster", verb, "pve", "--fingerprint", given)
    assert code == 2 and f"{given} is no SHA-256" in said


def test_a_wrong_fingerprint_is_refused_though_the_right_one_is_pinned(
    alone: Foreign, metal: Metal
) -> None:
    assert metal("cluster", "adopt", alone.url, "--yes")[0] == 0
    code, said = metal("cluster", "repin", "pve", "--fingerprint", WRONG)
    assert code == 3 and f"{WRONG} is not the certificate it shows" in said
    code, said = metal("cluster", "repin", "pve", "--fingerprint", alone.pins["pve"].lower())
    assert code == 0 and "was pinned already" in said
