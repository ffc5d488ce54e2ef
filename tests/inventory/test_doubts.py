"""What is no mistake, and comes to nothing as it stands."""

from pathlib import Path

import pytest

from metal.inventory import doubts, load

KNOWN = "\n".join(
    f"[servers.{name}.learned]\nmemory_gib = {gib}" for name, gib in (("rio1", 40), ("rio2", 24))
)


def told(workspace: Path, text: str) -> list[str]:
    (workspace / "inventory.toml").write_text(text)
    return [str(d).replace(f"{workspace}/", "") for d in doubts(workspace, load(workspace))]


def at(text: str, mark: str) -> str:
    """Its line and column, as they are written."""
    before = text[: text.index(mark)]
    return f"inventory.toml:{before.count(chr(10)) + 1}:{len(before.rpartition(chr(10))[2]) + 1}"


def test_a_server_of_unknown_memory_is_named(workspace: Path, base: str) -> None:
    (doubt,) = told(workspace, base)
    assert doubt.startswith(at(base, "[servers.rio3.learned]").rpartition(":")[0])
    assert "nobody told how much memory rio3 has" in doubt


@pytest.mark.parametrize(("gib", "doubtful"), [(8, False), (24, True)])
def test_a_vm_must_fit_on_two_servers(workspace: Path, base: str, gib: int, doubtful: bool) -> None:
    """rio has 24, 8 and 8 GiB for VMs: one of 24 is never restarted."""
    wish = f"[vms.mail]\nmemory_gib = {gib}"
    text = base.replace("[vms.mail]", wish).replace('vendor = "Old"', "memory_gib = 24")
    found = told(workspace, f"{text}\n{KNOWN}")
    assert bool(found) == doubtful
    if doubtful:
        assert found[0].startswith(at(text, f"{gib}\nsize"))
        assert "mail needs 24 GiB of memory, and no place in rio has more than 8 GiB" in found[0]
