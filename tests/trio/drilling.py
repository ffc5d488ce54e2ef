"""What the drills of the trio share: the command as a person types it, and all made well again."""

import json
import subprocess
import sys
from typing import Any

from metal.lab.namespaces.drill import Drill, Drilled


def metal(drill: Drill, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "metal", "-C", str(drill.folder), *words],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, (done.returncode, done.stdout + done.stderr)
    return done.stdout


def begin(drill: Drill) -> None:
    """Its four guests run."""
    said = metal(drill, "apply", "--yes")
    assert "4 done, 0 failed" in said, said
    ran = sorted(vm for s in drill.trio.truth()["servers"].values() for vm in s["vms"])
    assert ran == ["git", "lists", "mail", "wiki"]


def end(drill: Drill) -> None:
    """Its servers are well, and no guest is left, whatever became of it."""
    try:
        for server in drill.trio.servers:
            drill.trio.break_(server, "repair")
        for server in drill.trio.servers:
            drill.trio.wait(
                lambda s=server: healthy(drill, s),  # type: ignore[misc]
                120,
                f"{server} does not get well",
            )
            release(drill, server)
    finally:
        _remove_guests(drill)


def release(drill: Drill, server: str) -> None:
    record = drill.workspace.store.servers.get(server)
    if record.status != "done" or record.life == "draining":
        metal(drill, "release", server)


def healthy(drill: Drill, server: str) -> bool:
    """Asked by a process of its own: its BMC may have forgotten the sessions of this one."""
    rows = json.loads(metal(drill, "status", "-o", "json"))["servers"]
    seen = next(row for row in rows if row["server"] == server)
    return (seen["power"], seen["health"], seen["node"]) == ("on", "ok", "online")


def busiest(drill: Drill) -> str:
    servers: dict[str, Any] = drill.trio.truth()["servers"]
    return max(servers, key=lambda name: len(servers[name]["vms"]))


def written_once(found: Drilled) -> None:
    """Each goes on where it was, at the next number: none lost, none written by two copies."""
    print(found.model_dump_json(indent=1))
    assert found.vms
    for vm in found.vms.values():
        assert vm.first in (vm.last + 1, vm.last + 2)


def _remove_guests(drill: Drill) -> None:
    driver = drill.trio.driver()
    for name, vm in driver.look()[2].items():
        driver.ensure_off(vm.vmid)
        driver.ensure_removed(vm.vmid)
        for server in drill.trio.servers.values():
            server.console(name).unlink(missing_ok=True)
