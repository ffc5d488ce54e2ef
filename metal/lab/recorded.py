"""A machine that somebody captured, served as its BMC: over HTTPS, with a log-in, read-only.

The format is the one of `metal bmc capture`: one JSON object, path → body, as DMTF's mockups.
"""

import json
from pathlib import Path
from typing import Any

from metal.lab.machine import Hardware, Machine
from metal.lab.redfish_bmc import RedfishBmc
from metal.lab.web import self_signed
from metal.model.errors import BadInput
from metal.model.facts import Cpu

Tree = dict[str, dict[str, Any]]
ROOT = "/redfish/v1"


def read_tree(file: Path) -> Tree:
    """The captured resources; paths without a slash at their end. BadInput: it is none."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(f"cannot be read: {error.strerror}", where=str(file)) from None
    except (ValueError, RecursionError) as error:
        raise BadInput(
            f"is no JSON: {error}", where=str(file), mend="`metal bmc capture` makes such files"
        ) from None
    if not isinstance(content, dict) or not all(isinstance(b, dict) for b in content.values()):
        raise BadInput(
            "holds no tree: one object is wanted, path → body, each body an object",
            where=str(file),
            mend="`metal bmc capture` makes such files",
        )
    tree = {path.rstrip("/") or "/": body for path, body in content.items()}
    if ROOT not in tree:
        raise BadInput(
            f"has no service root: {ROOT}/ is missing",
            where=str(file),
            mend="capture the machine from its root",
        )
    return tree


def recorded_bmc(
    tree: Tree, folder: Path, *, address: str, port: int, user: str, password: str
) -> RedfishBmc:
    """The BMC of a captured machine, not yet started; its certificate is made in `folder`."""
    certificate = self_signed(folder, "recorded", address)
    machine = Machine("recorded", _nothing())
    return RedfishBmc(machine, address, port, certificate, {user: password}, tree=tree)


def _nothing() -> Hardware:
    """What is served comes from the tree alone."""
    return Hardware("", "", "", "", "", "", Cpu(), (), (), ())
