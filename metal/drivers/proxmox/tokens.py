"""An API token that may do what metal does and nothing else.

Proxmox shows a token's secret once, when it is made: whoever makes one keeps it at once. One that
is there already was made by somebody who lost it (us, killed in between), and is made anew.
"""

from typing import Any

from metal.drivers.proxmox.api import Api
from metal.model.errors import Failed

USER, ROLE = "metal@pve", "Metal"
PRIVILEGES = frozenset(
    {
        # Read the cluster, its HA, its nodes and tasks; put options, Ceph daemons, firewall.
        *("Sys.Audit", "Sys.Modify"),
        # HA resources and rules, of all things.
        "Sys.Console",
        # Restart a node in a rolling upgrade.
        "Sys.PowerMgmt",
        # Make VMs and their disks, and the storage for them.
        *("Datastore.Allocate", "Datastore.AllocateSpace", "Datastore.Audit"),
        *("VM.Allocate", "VM.Audit", "VM.Migrate", "VM.PowerMgmt"),
        *("VM.Config.CDROM", "VM.Config.Cloudinit", "VM.Config.CPU", "VM.Config.Disk"),
        *("VM.Config.HWType", "VM.Config.Memory", "VM.Config.Network", "VM.Config.Options"),
        # Let a VM in that another cluster sends; back one up that goes the long way.
        *("Sys.Incoming", "VM.Backup"),
        # Put a card on a bridge.
        "SDN.Use",
    }
)
AGENT = {8: "VM.Monitor", 9: "VM.GuestAgent.Audit"}
"""What asking the guest agent for a VM's addresses takes: VM.Monitor is gone in 9."""


def privileges(major: int) -> frozenset[str]:
    """Of the role, for Proxmox VE 8 or 9."""
    return PRIVILEGES | {AGENT[9 if major >= 9 else 8]}


def major(api: Api) -> int:
    return int(str(api.get("version")["version"]).partition(".")[0])


def has_token(api: Api, ident: str) -> bool:
    """Whether metal's user has a token of that name, whoever keeps its secret."""
    if not any(row["userid"] == USER for row in api.get("access/users")):
        return False
    return any(row["tokenid"] == ident for row in api.get(f"access/users/{USER}/token"))


def make_token(api: Api, ident: str, comment: str) -> str:
    """USER@REALM!ID=SECRET of a new token of metal's own user, its role brought up to date.

    Not safe to keep elsewhere twice: the token of that `ident` that was there before is dead.
    """
    _ensure_role(api, privileges(major(api)))
    if not any(row["userid"] == USER for row in api.get("access/users")):
        api.post("access/users", {"userid": USER, "comment": "made by metal; has no password"})
    api.put("access/acl", {"path": "/", "roles": ROLE, "users": USER, "propagate": 1})
    path = f"access/users/{USER}/token"
    if any(row["tokenid"] == ident for row in api.get(path)):
        api.delete(f"{path}/{ident}")
    made: dict[str, Any] = api.post(f"{path}/{ident}", {"privsep": 0, "comment": comment})
    if not made or not made.get("value"):
        raise Failed("no token was made", where=api.node().name, mend="see its log")
    return f"{USER}!{ident}={made['value']}"


def lacking(api: Api) -> frozenset[str]:
    """Privileges on / that the token in use does not have; Refused when it is none."""
    held = api.node().ask_as_token("access/permissions").get("/", {})
    return privileges(major(api)) - {name for name, value in held.items() if value is not None}


def _ensure_role(api: Api, wanted: frozenset[str]) -> None:
    role = next((row for row in api.get("access/roles") if row["roleid"] == ROLE), None)
    privs = ",".join(sorted(wanted))
    if role is None:
        api.post("access/roles", {"roleid": ROLE, "privs": privs})
    elif set(str(role.get("privs") or "").split(",")) != wanted:
        api.put(f"access/roles/{ROLE}", {"privs": privs})
