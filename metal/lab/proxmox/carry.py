"""Make api.json: the part of the Proxmox VE API schema that the double carries.

    python -m metal.lab.proxmox.carry SCHEMA [OUTPUT]

SCHEMA is the whole of it (path → method → {parameters, permissions, allowtoken, …}). Of the
paths in `CARRIED` we keep what a request is judged by; of all others only their methods, so that
a call which Proxmox has but the double has not is told from one that does not exist at all.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

API = Path(__file__).with_name("api.json")
API_8 = Path(__file__).with_name("api-8.json")
"""Of Proxmox VE 8.4, made the same way."""

CARRIED = re.compile(
    r"""/version
    | /access/(ticket|acl|permissions|roles.*|users.*|password)
    | /cluster/(status|resources|nextid|tasks|options|log)
    | /cluster/config(/(join|nodes.*|totem|apiversion))?
    | /cluster/(ha|ceph/(status|flags.*)|bulk-action/guest)(/.*)?
    | /cluster/firewall/(options|rules(/\{pos\})?|ipset(/\{name\}(/\{cidr\})?)?|aliases(/\{name\})?)
    | /nodes(/\{node\}(/(status|version|migrateall|startall|stopall|tasks.*|network.*|hosts|dns))?)?
    | /nodes/\{node\}/(time|firewall/(options|rules)|apt/(update|versions|repositories))
    | /nodes/\{node\}/ceph(/(init|status|mon.*|mgr.*|osd.*|pool.*|rules|crush|start|stop))?
    | /nodes/\{node\}/ceph/cmd-safety
    | /nodes/\{node\}/disks(/(list|wipedisk|initgpt|smart))?
    | /nodes/\{node\}/storage(/\{storage\}(/(status|content.*))?)?
    | /nodes/\{node\}/qemu(/\{vmid\})?
    | /nodes/\{node\}/qemu/\{vmid\}/(config|pending|status.*|migrate|remote_migrate|clone|resize)
    | /nodes/\{node\}/qemu/\{vmid\}/(agent/(ping|network-get-interfaces)|unlink|feature)
    | /nodes/\{node\}/qemu/\{vmid\}/firewall/(options|rules(/\{pos\})?)
    | /nodes/\{node\}/vzdump
    | /nodes/\{node\}/lxc(/\{vmid\}/(config|status/current))?
    | /storage(/\{storage\})?
    | /pools(/\{poolid\})?
    """,
    re.VERBOSE,
)
JUDGED_BY = ("parameters", "returns", "permissions", "allowtoken", "protected", "proxyto")


def trim(whole: dict[str, Any]) -> dict[str, Any]:
    """The carried part: {"paths": path → method → judged by, "others": path → methods}."""
    paths, others = {}, {}
    for path, methods in whole.items():
        if CARRIED.fullmatch(path):
            paths[path] = {
                name: {key: call[key] for key in JUDGED_BY if key in call}
                for name, call in methods.items()
            }
        else:
            others[path] = " ".join(sorted(methods))
    return {"paths": paths, "others": others}


def main(schema: str, output: str = str(API)) -> None:
    carried = trim(json.loads(Path(schema).read_text()))
    # One line a path: a later schema shows what changed.
    lines = [
        '{"others":' + json.dumps(carried["others"], sort_keys=True) + ',\n"paths":{',
        ",\n".join(
            f"{json.dumps(path)}:{json.dumps(call, sort_keys=True, separators=(',', ':'))}"
            for path, call in sorted(carried["paths"].items())
        ),
        "}}\n",
    ]
    Path(output).write_text("\n".join(lines))


if __name__ == "__main__":
    main(*sys.argv[1:])
