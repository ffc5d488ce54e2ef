"""The name a server had before somebody changed it in inventory.toml by hand."""

from metal.controller.targets import has_store
from metal.controller.workspace import Workspace
from metal.enroll.door import secret_name
from metal.model.errors import Refused
from metal.model.facts import Facts


def former(workspace: Workspace, server: str) -> str | None:
    """The name that this server of the inventory had when its password was escrowed: one that the
    inventory has no more, by serial number or the BMC's address. None where none is known."""
    if not has_store(workspace):
        return None
    inventory = workspace.inventory
    mine = inventory.servers[server]
    serial = mine.learned.serial if mine.learned else None
    for name, record in workspace.store.records.all("facts").items():
        if name in inventory.servers or not workspace.secrets.holds(secret_name(name)):
            continue
        try:
            facts = Facts.model_validate(record.body)
        except ValueError:
            continue  # another version of metal wrote it
        if (facts.serial == serial) if serial else (facts.address == mine.bmc.address):
            return name
    return None


def refuse_renamed(workspace: Workspace, server: str) -> None:
    """Refused where the password of its BMC is kept under its former name: none that a person
    gives would open it."""
    if old := former(workspace, server):
        raise Refused(
            f"its BMC's password is kept under the name {old}, which the inventory has no more",
            where=server,
            mend=f"move what is kept: metal server rename {old} {server}",
        )
