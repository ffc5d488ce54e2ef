"""Servers that inventory.toml has no more, or not by that name, while their passwords are kept."""

from collections.abc import Iterator

from metal.controller.targets import has_store
from metal.controller.workspace import Workspace
from metal.enroll.door import secret_name
from metal.model.errors import Refused
from metal.model.facts import Facts


def former(workspace: Workspace, server: str) -> str | None:
    """The name that this server of the inventory had when its password was escrowed: one that the
    inventory has no more, by serial number or the BMC's address. None where none is known."""
    mine = workspace.inventory.servers[server]
    serial = mine.learned.serial if mine.learned else None
    for name, facts in _gone(workspace):
        if (facts.serial == serial) if serial else (facts.address == mine.bmc.address):
            return name
    return None


def gone_from(workspace: Workspace, address: str) -> str | None:
    """The server that was taken over at that BMC and that the inventory has no more."""
    return next((name for name, facts in _gone(workspace) if facts.address == address), None)


def _gone(workspace: Workspace) -> Iterator[tuple[str, Facts]]:
    if not has_store(workspace):
        return
    for name, record in workspace.store.records.all("facts").items():
        known = name in workspace.inventory.servers
        if known or not workspace.secrets.holds(secret_name(name)):
            continue
        try:
            yield name, Facts.model_validate(record.body)
        except ValueError:
            continue  # another version of metal wrote it


def refuse_renamed(workspace: Workspace, server: str) -> None:
    """Refused where the password of its BMC is kept under its former name: none that a person
    gives would open it."""
    if old := former(workspace, server):
        raise Refused(
            f"its BMC's password is kept under the name {old}, which the inventory has no more",
            where=server,
            mend=f"move what is kept: metal server rename {old} {server}",
        )
