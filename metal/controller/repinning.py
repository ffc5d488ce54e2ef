"""Trust another certificate of a BMC, once a person has compared it."""

from collections.abc import Callable

from metal.controller.workspace import Workspace
from metal.drivers.bmc import connect, shown_fingerprint
from metal.enroll.door import secret_name
from metal.inventory.edit import edit, recording
from metal.inventory.mistakes import refuse_unknown
from metal.model.base import Frozen
from metal.model.errors import Refused
from metal.model.fleet import BmcAccess, Learned


class Repinned(Frozen):
    server: str
    old: str | None
    new: str
    changed: bool


def repin(
    workspace: Workspace,
    server: str,
    agreed: Callable[[str | None, str], bool],
    expected: str | None = None,
) -> Repinned:
    """Pin the certificate that the BMC of `server` shows now, if `agreed(old, new)`.
    Refused, whatever is pinned, where it is not the one `expected`.

    No credential is sent before; then a log-in proves that it is our BMC, and only then is the
    inventory changed, for every server behind it. Refused without consent, or when the BMC does
    not take our password: it may be somebody else's. Unreachable without answer.
    """
    inventory = workspace.inventory
    refuse_unknown(server, inventory.servers, "server")
    access = inventory.servers[server].bmc
    if access.protocol == "ipmi":
        raise Refused(
            "it is spoken to over IPMI, which has no certificate",
            where=server,
            mend="nothing to do",
        )
    new = shown_fingerprint(access)
    check_shown(server, new, expected)
    if new == access.fingerprint:
        return Repinned(server=server, old=access.fingerprint, new=new, changed=False)
    if not agreed(access.fingerprint, new):
        raise Refused("nothing was changed: consent was not given", where=server)
    _prove(workspace, server, access.model_copy(update={"fingerprint": new}))
    changes = [
        recording(name, inventory.servers[name].learned or Learned(), {"fingerprint": new})
        for name in inventory.behind(server)
    ]
    edit(workspace.folder, changes)
    workspace.reload()
    return Repinned(server=server, old=access.fingerprint, new=new, changed=True)


def check_shown(where: str, shows: str, expected: str | None) -> None:
    """Refused unless it shows the certificate that a person read at the machine itself."""
    if expected not in (None, shows):
        raise Refused(
            f"{expected} is not the certificate it shows, which is {shows}",
            where=where,
            mend="somebody may sit in between: ask from another network",
        )


def _prove(workspace: Workspace, server: str, access: BmcAccess) -> None:
    if workspace.secrets.reveal(secret_name(server)) is None:
        return  # it was never taken over: there is nothing to prove it by
    workspace.opened(server, lambda kept: connect(access, access.user, kept).close())
