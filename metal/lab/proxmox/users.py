"""Logging in, users, API tokens and what they may."""

from __future__ import annotations

from typing import Any

from metal.lab.proxmox import access
from metal.lab.proxmox.calls import Call, handles
from metal.lab.proxmox.errors import ApiError
from metal.lab.proxmox.formats import split_list


@handles("GET", "/access/ticket")
def login_form(call: Call) -> None:
    """A dummy of the real one, for its login page."""


@handles("POST", "/access/ticket")
def log_in(call: Call) -> dict[str, Any]:
    return access.log_in(call.node, call.params)


@handles("GET", "/access/users")
def users(call: Call) -> list[dict[str, Any]]:
    return [{"userid": name, **info} for name, info in call.cluster.users.items()]


@handles("POST", "/access/users")
def add_user(call: Call) -> None:
    name = call.params["userid"]
    if name in call.cluster.users:
        raise ApiError(500, f"create user failed: user '{name}' already exists")
    call.cluster.users[name] = {"enable": 1, "expire": 0} | call.without("userid", "password")


@handles("GET", "/access/users/{userid}/token")
def tokens(call: Call) -> list[dict[str, Any]]:
    mine = f"{call.params['userid']}!"
    return [
        {"tokenid": full.removeprefix(mine), "privsep": int(t.privsep), "expire": t.expire}
        for full, t in call.cluster.tokens.items()
        if full.startswith(mine)
    ]


@handles("GET", "/access/users/{userid}/token/{tokenid}")
def token(call: Call) -> dict[str, Any]:
    found = call.cluster.tokens.get(_full(call))
    if found is None:
        raise ApiError(500, f"no such token '{call.params['tokenid']}'")
    return {"privsep": int(found.privsep), "expire": found.expire, "comment": found.comment}


@handles("POST", "/access/users/{userid}/token/{tokenid}")
def add_token(call: Call) -> dict[str, Any]:
    user = call.params["userid"]
    if user not in call.cluster.users:
        raise ApiError(500, f"no such user ('{user}')")
    return access.make_token(call.cluster, user, call.params["tokenid"], call.params)


@handles("DELETE", "/access/users/{userid}/token/{tokenid}")
def remove_token(call: Call) -> None:
    if call.cluster.tokens.pop(_full(call), None) is None:
        raise ApiError(500, f"no such token '{call.params['tokenid']}'")


def _full(call: Call) -> str:
    return f"{call.params['userid']}!{call.params['tokenid']}"


@handles("GET", "/access/acl")
def acl(call: Call) -> list[dict[str, Any]]:
    return [dict(entry) for entry in call.cluster.acl]


@handles("PUT", "/access/acl")
def set_acl(call: Call) -> None:
    params, entries = call.params, call.cluster.acl
    for role in split_list(params["roles"]):
        if role not in access.roles_of(call.cluster):
            raise ApiError(500, f"role '{role}' does not exist")
        for kind in ("users", "tokens"):
            for who in split_list(params.get(kind, "")):
                known = call.cluster.users if kind == "users" else call.cluster.tokens
                if who not in known:
                    raise ApiError(500, f"{kind[:-1]} '{who}' does not exist")
                told = {
                    "path": params["path"],
                    "ugid": who,
                    "type": kind[:-1],
                    "roleid": role,
                    "propagate": params.get("propagate", 1),
                }
                entries[:] = [
                    e
                    for e in entries
                    if [e[k] for k in ("path", "ugid", "roleid")]
                    != [told[k] for k in ("path", "ugid", "roleid")]
                ]
                if not params.get("delete"):
                    entries.append(told)


@handles("GET", "/access/roles")
def roles(call: Call) -> list[dict[str, Any]]:
    return [
        {
            "roleid": name,
            "privs": ",".join(sorted(privs)),
            "special": int(name in access.ROLES),
        }
        for name, privs in access.roles_of(call.cluster).items()
    ]


@handles("POST", "/access/roles")
def add_role(call: Call) -> None:
    name = call.params["roleid"]
    if name in access.roles_of(call.cluster):
        raise ApiError(500, f"create role failed: role '{name}' already exists")
    call.cluster.roles[name] = _privileges(call)


@handles("PUT", "/access/roles/{roleid}")
def set_role(call: Call) -> None:
    name = call.params["roleid"]
    if name not in call.cluster.roles:
        raise ApiError(500, f"auto-generated role '{name}' cannot be modified")
    old = call.cluster.roles[name] if call.params.get("append") else frozenset()
    call.cluster.roles[name] = old | _privileges(call)


def _privileges(call: Call) -> frozenset[str]:
    wanted = frozenset(split_list(call.params.get("privs", "")))
    if unknown := sorted(wanted - access.known_privileges(call.node.major)):
        raise ApiError(500, f"create role failed: invalid privilege '{unknown[0]}'")
    return wanted


@handles("GET", "/access/permissions")
def permissions(call: Call) -> dict[str, dict[str, int]]:
    return access.permissions(call.cluster, call.caller)
