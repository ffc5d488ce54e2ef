"""The firewall of one VM: rules of ours are known by their comment, a person's are never touched.

Each write is chosen anew from what is there (`next_opening`, `next_closing`), and carries the
digest of what was seen: whoever is killed goes on, and who changes it at the same time is noticed.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any

from metal.drivers.proxmox.api import Api
from metal.drivers.proxmox.node import ApiError
from metal.drivers.proxmox.running import where
from metal.model.errors import Failed
from metal.model.walls import MARK, SeenRule, SeenWall, WallOptions, WallRule

Row = dict[str, Any]
Write = tuple[str, str, Row]
"""(method, what is appended to the path of the rules, parameters)"""
TRIES = 5
CONFLICT = "detected modified configuration"
NET = re.compile(r"net[1-9]\d*")
OPTIONS = ("enable", "policy_in", "policy_out")
MEANING = ("type", "action", "iface", "proto", "dport", "sport", "source", "dest", "macro")
DATACENTER = "cluster/firewall/options"


def seen(api: Api, vmid: int) -> SeenWall:
    path = _path(api, vmid)
    config = api.get(f"{path.removesuffix('/firewall')}/config")
    cards = [str(value).split(",") for key, value in config.items() if NET.fullmatch(key)]
    return SeenWall(
        rules=tuple(
            SeenRule(
                comment=str(row["comment"]),
                enabled=_enabled(row),
                right=_right(row),
            )
            for row in api.get(f"{path}/rules")
            if _ours(row)
        ),
        options=WallOptions.model_validate(_set(api.get(f"{path}/options"))),
        watched=all("firewall=1" in card for card in cards),
    )


def ensure_opened(api: Api, vmid: int, rules: Sequence[WallRule]) -> None:
    """Every rule is there and acts; those of ours that are no longer wanted act still."""
    _converge(api, vmid, lambda rows: next_opening(rows, rules))


def ensure_only(api: Api, vmid: int, comments: Sequence[str]) -> None:
    """No other rules of ours are there, and none twice."""
    _converge(api, vmid, lambda rows: next_closing(rows, comments))


def ensure_options(api: Api, vmid: int, options: WallOptions) -> None:
    """They are these; None of them is taken out. All at once: a policy without its rules, or the
    other way round, is never in force."""
    path = f"{_path(api, vmid)}/options"
    wanted = options.model_dump()
    given = {key: _plain(value) for key, value in wanted.items() if value is not None}
    unset = [key for key, value in wanted.items() if value is None]
    api.settle(
        lambda: WallOptions.model_validate(_set(api.get(path))) == options,
        lambda: api.put(path, given | ({"delete": ",".join(unset)} if unset else {})),
        late=f"the firewall's options of VM {vmid} could not be changed",
    )


def datacenter_on(api: Api) -> bool:
    """Whether the cluster's firewall acts; without it no VM's does."""
    return bool(int(api.get(DATACENTER).get("enable") or 0))


def ensure_datacenter(api: Api, *, on: bool) -> None:
    """It acts, and the hosts' own ports stay as open as they were; or it does not act."""
    given: Row = {"enable": 1, "policy_in": "ACCEPT", "policy_out": "ACCEPT"}
    api.settle(
        lambda: datacenter_on(api) is on,
        lambda: api.put(DATACENTER, given if on else {"enable": 0}),
        late="the cluster's firewall could not be turned " + ("on" if on else "off"),
    )


def next_opening(rows: Sequence[Row], rules: Sequence[WallRule]) -> Write | None:
    """The next write towards every rule being there and acting; None when it is so.

    Proxmox puts a new rule before all others: it does nothing there until it came last.
    """
    for rule in rules:
        row = next((row for row in rows if _same(row, rule)), None)
        if row is None:
            return "POST", "", {**_params(rule), "enable": 0}
        if not _enabled(row):
            if any(not _ours(other) for other in rows[int(row["pos"]) + 1 :]):
                return "PUT", f"/{row['pos']}", {"moveto": len(rows)}
            return "PUT", f"/{row['pos']}", {"enable": 1}
    return None


def next_closing(rows: Sequence[Row], comments: Sequence[str]) -> Write | None:
    """The next write towards no other rules of ours being there; the last of them goes first."""
    kept: set[str] = set()
    surplus = []
    for row in rows:
        if not _ours(row):
            continue
        comment = str(row["comment"])
        if comment in comments and comment not in kept and _right(row):
            kept.add(comment)
        else:
            surplus.append(row)
    return ("DELETE", f"/{surplus[-1]['pos']}", {}) if surplus else None


def _converge(api: Api, vmid: int, choose: Callable[[Sequence[Row]], Write | None]) -> None:
    path, conflicts = f"{_path(api, vmid)}/rules", 0
    while True:
        rows = api.get(path)
        write = choose(rows)
        if write is None:
            return
        method, where_, params = write
        if rows:
            params = params | {"digest": rows[0].get("digest", "")}
        call = {"POST": api.post, "PUT": api.put, "DELETE": api.delete}[method]
        try:
            call(path + where_, params)
            conflicts = 0
        except ApiError as error:
            conflicts += 1
            if not (CONFLICT in error.message or error.busy):
                raise
            if conflicts == TRIES:
                raise Failed(
                    f"somebody else changes the firewall of VM {vmid} all the time",
                    where=error.where or "",
                    mend="see in the web interface who is at it; the same command goes on",
                ) from None


def _path(api: Api, vmid: int) -> str:
    return f"nodes/{where(api, vmid)[0]}/qemu/{vmid}/firewall"


def _params(rule: WallRule) -> Row:
    found = {"iface": rule.card, "proto": rule.protocol, "dport": rule.ports}
    return {
        "type": "in",
        "action": "ACCEPT",
        "comment": rule.comment,
        **{key: value for key, value in found.items() if value},
    }


def _same(row: Row, rule: WallRule) -> bool:
    return row.get("comment") == rule.comment and _meaning(row) == _meaning(_params(rule))


def _right(row: Row) -> bool:
    """Whether it says what its comment says."""
    words = str(row["comment"]).removeprefix(MARK).split()
    if not words or len(words) > 3:
        return False
    return _same(row, WallRule(**dict(zip(("card", "protocol", "ports"), words, strict=False))))


def _meaning(row: Row) -> Row:
    return {key: str(row[key]) for key in MEANING if row.get(key)}


def _enabled(row: Row) -> bool:
    return bool(int(row.get("enable") or 0))


def _ours(row: Row) -> bool:
    return str(row.get("comment") or "").startswith(MARK)


def _set(options: Row) -> Row:
    return {key: options[key] for key in OPTIONS if options.get(key) is not None}


def _plain(value: object) -> object:
    return int(value) if isinstance(value, bool) else value
