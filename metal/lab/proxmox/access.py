"""Who calls, and whether they may: tickets, CSRF tokens, API tokens, privileges."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
import uuid
from dataclasses import dataclass
from typing import Any

from metal.lab.proxmox.errors import ApiError
from metal.lab.proxmox.state import Cluster, Node, Token

# A client keeps the age of its ticket on a clock of its own, so tickets age in real seconds
# even where the lab's clock runs fast.
TICKET_SECONDS = 7200

ROLES: dict[str, frozenset[str]] = {
    "Administrator": frozenset({"*"}),
    "NoAccess": frozenset(),
    "PVEAdmin": frozenset({"VM.*", "Datastore.*", "Pool.*", "SDN.*", "Mapping.*", "Sys.Audit"}),
    "PVEVMAdmin": frozenset({"VM.*"}),
    "PVEVMUser": frozenset({"VM.Audit", "VM.PowerMgmt", "VM.Console", "VM.Config.CDROM"}),
    "PVEDatastoreAdmin": frozenset({"Datastore.*"}),
    "PVESysAdmin": frozenset({"Sys.Audit", "Sys.Console", "Sys.Syslog"}),
    "PVEAuditor": frozenset(
        {"VM.Audit", "Datastore.Audit", "Pool.Audit", "Sys.Audit", "SDN.Audit", "Mapping.Audit"}
    ),
}


PRIVILEGES = frozenset(
    {
        *("Datastore.Allocate", "Datastore.AllocateSpace", "Datastore.AllocateTemplate"),
        *("Datastore.Audit", "Group.Allocate", "Mapping.Audit", "Mapping.Modify", "Mapping.Use"),
        *("Permissions.Modify", "Pool.Allocate", "Pool.Audit", "Realm.Allocate"),
        *("Realm.AllocateUser", "SDN.Allocate", "SDN.Audit", "SDN.Use", "Sys.AccessNetwork"),
        *("Sys.Audit", "Sys.Console", "Sys.Incoming", "Sys.Modify", "Sys.PowerMgmt"),
        *("Sys.Syslog", "User.Modify", "VM.Allocate", "VM.Audit", "VM.Backup", "VM.Clone"),
        *("VM.Config.CDROM", "VM.Config.CPU", "VM.Config.Cloudinit", "VM.Config.Disk"),
        *("VM.Config.HWType", "VM.Config.Memory", "VM.Config.Network", "VM.Config.Options"),
        *("VM.Console", "VM.GuestAgent.Audit", "VM.GuestAgent.FileRead"),
        *("VM.GuestAgent.FileSystemMgmt", "VM.GuestAgent.FileWrite"),
        *("VM.GuestAgent.Unrestricted", "VM.Migrate", "VM.PowerMgmt", "VM.Replicate"),
        *("VM.Snapshot", "VM.Snapshot.Rollback"),
    }
)
"""Every privilege of Proxmox VE 9: a role with another is refused."""


def known_privileges(major: int) -> frozenset[str]:
    """VM.Monitor is gone in 9, VM.GuestAgent.* came."""
    if major >= 9:
        return PRIVILEGES
    old = {"VM.Monitor"}
    return frozenset({p for p in PRIVILEGES if not p.startswith("VM.GuestAgent.")} | old)


@dataclass(frozen=True)
class Caller:
    user: str
    """root@pam"""
    token: str = ""
    """root@pam!metal, if called with an API token."""

    @property
    def name(self) -> str:
        return self.token or self.user


WORLD = Caller("")


def ticket(cluster: Cluster, user: str, when: float | None = None) -> str:
    """PVE:USER:HEXTIME::SIGNATURE"""
    plain = f"PVE:{user}:{int(time.time() if when is None else when):08X}"
    return f"{plain}::{_sign(cluster, plain)}"


def csrf(cluster: Cluster, user: str) -> str:
    stamp = f"{int(time.time()):08X}"
    return f"{stamp}:{_sign(cluster, f'csrf:{stamp}:{user}')}"


def _sign(cluster: Cluster, plain: str) -> str:
    digest = hmac.new(cluster.secret, plain.encode(), hashlib.sha256).digest()
    return base64.b64encode(digest).decode().rstrip("=")


def _fresh(stamp: str) -> bool:
    try:
        age = time.time() - int(stamp, 16)
    except ValueError:
        return False
    return -300 < age < TICKET_SECONDS


def ticket_user(cluster: Cluster, given: str) -> str | None:
    """Whose ticket it is; None if it is not (or no longer) one of this cluster's."""
    plain, _, signature = given.partition("::")
    parts = plain.split(":")
    good = hmac.compare_digest(_sign(cluster, plain).encode(), signature.encode())
    if not good or len(parts) != 3 or parts[0] != "PVE" or not _fresh(parts[2]):
        return None
    return parts[1]


def _csrf_good(cluster: Cluster, user: str, given: str) -> bool:
    stamp, _, signature = given.partition(":")
    wanted = _sign(cluster, f"csrf:{stamp}:{user}")
    return hmac.compare_digest(wanted.encode(), signature.encode()) and _fresh(stamp)


def log_in(node: Node, params: dict[str, Any]) -> dict[str, Any]:
    """POST /access/ticket: root's password is the node's own; a valid ticket renews itself."""
    user = str(params["username"])
    if "@" not in user:
        user = f"{user}@{params.get('realm', 'pam')}"
    password = str(params["password"])
    renewed = ticket_user(node.cluster, password) == user
    if not renewed and not (user == "root@pam" and node.password_check(password)):
        raise ApiError(401, "authentication failure")
    answer = {
        "username": user,
        "ticket": ticket(node.cluster, user),
        "CSRFPreventionToken": csrf(node.cluster, user),
        "cap": {},
    }
    if node.cluster.name:
        answer["clustername"] = node.cluster.name
    return answer


def identify(cluster: Cluster, method: str, headers: dict[str, str]) -> Caller:
    """Who calls; ApiError 401 if that can't be told."""
    authorization = headers.get("authorization", "")
    scheme, _, rest = authorization.partition("=")
    if scheme == "PVEAPIToken":
        return _token_caller(cluster, rest)
    cookies = dict(
        part.strip().partition("=")[::2] for part in headers.get("cookie", "").split(";")
    )
    given = cookies.get("PVEAuthCookie", "").strip('"').replace("%3A", ":")
    if not given:
        raise ApiError(401, "No ticket")
    user = ticket_user(cluster, given)
    if user is None:
        raise ApiError(401, "invalid PVE ticket")
    if method != "GET" and not _csrf_good(cluster, user, headers.get("csrfpreventiontoken", "")):
        raise ApiError(401, "Permission denied - invalid csrf token")
    return Caller(user)


def _token_caller(cluster: Cluster, given: str) -> Caller:
    ident, _, value = given.partition("=")
    token = cluster.tokens.get(ident)
    if token is None:
        raise ApiError(401, f"no such token '{ident.rpartition('!')[2]}' for user '{ident}'")
    if not hmac.compare_digest(token.value.encode(), value.encode()):
        raise ApiError(401, "invalid token value!")
    if token.expire and token.expire < time.time():
        raise ApiError(401, "token expired")
    return Caller(ident.partition("!")[0], ident)


def allow(cluster: Cluster, caller: Caller, call: dict[str, Any], params: dict[str, Any]) -> None:
    """ApiError 403 unless the schema's permissions let `caller` in.

    A call without permissions is for root@pam itself: not even a token of root's will do.
    """
    if caller.token and not call.get("allowtoken"):
        raise ApiError(403, "Permission check failed (not available with API token)")
    if caller.user == "root@pam" and not caller.token:
        return
    wanted = call.get("permissions")
    if wanted is None:
        raise ApiError(403, "Permission check failed (user != root@pam)")
    check = wanted.get("check")
    if check and not _allows(cluster, caller, check, params):
        raise ApiError(403, f"Permission check failed ({_told(check, params)})")


def _told(check: list[Any], params: dict[str, Any]) -> str:
    if check[0] == "perm":
        return f"{_path(check[1], params)}, {'|'.join(check[2])}"
    return str(check[0])


def _path(template: str, params: dict[str, Any]) -> str:
    for name, value in params.items():
        template = template.replace(f"{{{name}}}", str(value))
    return template


def _allows(cluster: Cluster, caller: Caller, check: list[Any], params: dict[str, Any]) -> bool:
    kind = check[0]
    if kind == "or":
        return any(_allows(cluster, caller, one, params) for one in check[1:])
    if kind == "and":
        return all(_allows(cluster, caller, one, params) for one in check[1:])
    if kind == "userid-param" and check[1] == "self":
        return params.get("userid") == caller.user
    if kind != "perm":
        return has(cluster, caller, "/access", "User.Modify")
    some = any if "any" in check[3:] else all
    return some(has(cluster, caller, _path(check[1], params), priv) for priv in check[2])


def need(cluster: Cluster, caller: Caller, path: str, privilege: str) -> None:
    """ApiError 403 unless `caller` has it: for what the schema's permissions leave to the call."""
    if not has(cluster, caller, path, privilege):
        raise ApiError(403, f"Permission check failed ({path}, {privilege})")


def has(cluster: Cluster, caller: Caller, path: str, privilege: str) -> bool:
    """A token with privilege separation needs the privilege itself, and its user too."""
    user = caller.user == "root@pam" or _granted(cluster, caller.user, path, privilege)
    if not caller.token or not cluster.tokens[caller.token].privsep:
        return user
    return user and _granted(cluster, caller.token, path, privilege)


def _granted(cluster: Cluster, who: str, path: str, privilege: str) -> bool:
    """The most specific path with an entry for `who` decides."""
    for above in _upwards(path):
        entries = [
            e
            for e in cluster.acl
            if e["ugid"] == who and e["path"] == above and (above == path or e["propagate"])
        ]
        if entries:
            roles = roles_of(cluster)
            return any(_covers(roles[entry["roleid"]], privilege) for entry in entries)
    return False


def roles_of(cluster: Cluster) -> dict[str, frozenset[str]]:
    """Those that every Proxmox has, and what was made beside them."""
    return ROLES | cluster.roles


def permissions(cluster: Cluster, caller: Caller) -> dict[str, dict[str, int]]:
    """Path → privilege → 1, as GET /access/permissions; of every path that has an entry."""
    paths = {"/", *(entry["path"] for entry in cluster.acl)}
    known = known_privileges(min(node.major for node in cluster.members.values()))
    return {path: {p: 1 for p in sorted(known) if has(cluster, caller, path, p)} for path in paths}


def _covers(role: frozenset[str], privilege: str) -> bool:
    return bool(role & {"*", privilege, privilege.split(".")[0] + ".*"})


def _upwards(path: str) -> list[str]:
    parts = path.strip("/").split("/") if path != "/" else []
    return ["/" + "/".join(parts[:n]) for n in range(len(parts), -1, -1)]


def make_token(cluster: Cluster, user: str, ident: str, params: dict[str, Any]) -> dict[str, Any]:
    """POST /access/users/{userid}/token/{tokenid}: the value is shown this once."""
    full = f"{user}!{ident}"
    if full in cluster.tokens:
        raise ApiError(400, "Parameter verification failed.", {"tokenid": "Token already exists."})
    token = Token(
        value=str(uuid.uuid4()),
        privsep=bool(params.get("privsep", 1)),
        comment=str(params.get("comment", "")),
        expire=int(params.get("expire", 0)),
    )
    cluster.tokens[full] = token
    info = {"privsep": int(token.privsep), "expire": token.expire, "comment": token.comment}
    return {"full-tokenid": full, "value": token.value, "info": info}
