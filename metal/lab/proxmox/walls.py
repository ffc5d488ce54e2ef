"""Rules of the firewall, of the datacenter and of each VM (PVE::API2::Firewall::Rules).

A new rule comes before all others, whatever `pos` says, and does nothing unless `enable` is
given. `digest` is of the rules alone, or of the options alone; who has seen others is refused.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from metal.lab.proxmox.calls import Call, handles
from metal.lab.proxmox.errors import ApiError, bad_parameters
from metal.lab.proxmox.formats import split_list
from metal.lab.proxmox.state import Firewall

DATACENTER = "/cluster/firewall/rules"
VM = "/nodes/{node}/qemu/{vmid}/firewall"
NO_RULE = frozenset({"node", "vmid", "pos", "digest", "moveto", "delete"})
PORTED = frozenset({"tcp", "udp", "sctp", "dccp", "udplite"})


@handles("GET", DATACENTER)
@handles("GET", f"{VM}/rules")
def rules(call: Call) -> list[dict[str, Any]]:
    found = _wall(call).rules
    return [rule | {"pos": pos, "digest": digest(found)} for pos, rule in enumerate(found)]


@handles("POST", DATACENTER)
@handles("POST", f"{VM}/rules")
def add_rule(call: Call) -> None:
    rule = {"enable": 0, **_given(call)}
    _verify(call, rule)
    _wall(call).rules.insert(0, rule)


@handles("PUT", f"{VM}/rules/{{pos}}")
def change_rule(call: Call) -> None:
    """With `moveto` it is moved and nothing else."""
    found, pos = _wall(call).rules, _pos(call)
    to = call.params.get("moveto", pos)
    if to != pos:
        rule = found.pop(pos)
        found.insert(to - 1 if to > pos else to, rule)
        return
    changed = {**found[pos], **_given(call)}
    for name in split_list(call.params.get("delete", "")):
        changed.pop(name, None)
    _verify(call, changed)
    found[pos] = changed


@handles("DELETE", f"{DATACENTER}/{{pos}}")
@handles("DELETE", f"{VM}/rules/{{pos}}")
def remove_rule(call: Call) -> None:
    pos = _pos(call)
    del _wall(call).rules[pos]


@handles("GET", f"{VM}/options")
def options(call: Call) -> dict[str, Any]:
    """Those that somebody set."""
    found = _wall(call).options
    return found | {"digest": digest(found)}


@handles("PUT", f"{VM}/options")
def set_options(call: Call) -> None:
    found = _wall(call).options
    _unchanged(call, found)
    for name in split_list(call.params.get("delete", "")):
        found.pop(name, None)
    found |= _given(call)


def digest(of: Any) -> str:
    return hashlib.sha1(json.dumps(of, sort_keys=True).encode()).hexdigest()


def _wall(call: Call) -> Firewall:
    if "vmid" not in call.params:
        return call.cluster.firewall
    vm = call.cluster.vms.get(call.params["vmid"])
    if vm is None:
        raise ApiError(500, f"no such VM ('{call.params['vmid']}')")
    return vm.firewall


def _given(call: Call) -> dict[str, Any]:
    return {name: value for name, value in call.params.items() if name not in NO_RULE}


def _pos(call: Call) -> int:
    found, pos = _wall(call).rules, int(call.params["pos"])
    _unchanged(call, found)
    if pos >= len(found):
        raise ApiError(500, f"no rule at position {pos}")
    return pos


def _unchanged(call: Call, found: Any) -> None:
    seen = call.params.get("digest")
    if seen and seen != digest(found):
        said = "detected modified configuration - file changed by other user? Try again."
        raise ApiError(500, said)


def _verify(call: Call, rule: dict[str, Any]) -> None:
    for key in ("source", "dest"):
        named = str(rule.get(key, "")).removeprefix("+")
        if str(rule.get(key, "")).startswith("+") and named not in call.cluster.firewall.sets:
            raise ApiError(500, f"no such ipset '{named}'")
    if rule.get("dport") and rule.get("proto") not in PORTED:
        raise bad_parameters({"dport": "missing property - this protocol has no ports"})
    if "vmid" in call.params and not str(rule.get("iface", "net0")).startswith("net"):
        raise bad_parameters({"iface": "value does not match the regex pattern 'net\\d+'"})
