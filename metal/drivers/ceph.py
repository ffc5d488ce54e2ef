"""Ceph's list of clients that may not write any more, by its own command on a host that has it.

A server's whole address is listed: every client on it, whatever its number, and no OSD.
"""

import json
from collections.abc import Sequence
from typing import Any

from metal.drivers.commands import Runner
from metal.model.errors import Failed, MetalError, Unreachable

ANSWER = 10.0
"""Seconds for the monitors to answer; a quorum that is being formed needs as long."""


class Blocklist:
    """`hosts`: where `ceph` has the administrator's key; the first that answers is asked."""

    def __init__(self, hosts: Sequence[Runner]) -> None:
        self._hosts = hosts

    def ensure_listed(self, addresses: Sequence[str], seconds: float) -> dict[str, str]:
        """Address → until when nothing on it writes, as read back from the monitors.

        Unreachable when no host reaches the monitors; Failed when one of them is not listed.
        """
        for address in addresses:
            self._ask("osd", "blocklist", "add", address, f"{seconds:g}")
        listed = self.listed()
        if missing := [a for a in addresses if a not in listed]:
            raise Failed(
                f"Ceph was told to blocklist {', '.join(missing)}, and does not list it",
                mend="see `ceph osd blocklist ls` and `ceph -s` on a monitor",
            )
        return {address: listed[address] for address in addresses}

    def ensure_not_listed(self, addresses: Sequence[str]) -> None:
        """What clients there open from now on may write."""
        for address in set(addresses) & self.listed().keys():
            self._ask("osd", "blocklist", "rm", address)

    def listed(self) -> dict[str, str]:
        """Whole addresses that are listed → until when."""
        text = self._ask("osd", "blocklist", "ls", "--format", "json")
        # Some versions say how many there are behind it.
        rows: list[dict[str, Any]] = json.JSONDecoder().raw_decode(text.lstrip())[0]
        return {
            address.strip("[]"): str(row.get("until", ""))
            for row in rows
            for address, _, number in [str(row.get("addr", "")).rpartition(":")]
            if number == "0/0"
        }

    def _ask(self, *words: str) -> str:
        """What `ceph` says on the first host where it works."""
        argv = ["ceph", "--connect-timeout", f"{ANSWER:g}", *words]
        said: list[str] = []
        answered = False
        for host in self._hosts:
            try:
                result = host.run(argv, timeout=2 * ANSWER)
            except MetalError as error:
                said.append(f"{host.where}: {error.what}")
                continue
            if result.code == 0:
                return result.out.decode(errors="replace")
            answered = True
            said.append(f"{host.where}: {result.said}")
        kind = Failed if answered else Unreachable
        raise kind(
            f"`ceph {' '.join(words)}` works nowhere: {'; '.join(said) or 'no host is left'}",
            mend="one of the cluster's servers needs ceph, its configuration and its "
            "administrator's key, and must let the controller log in",
        )
