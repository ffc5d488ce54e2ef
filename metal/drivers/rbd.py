"""Who has an RBD image open, and how they are kept from writing: by `rbd` and `ceph` on a host.

A client that is listed is shut out by its own number, not by its host's address: what is started
on that host later is another client, and nobody has to let it in again.
"""

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from metal.drivers.commands import Runner, must
from metal.model.errors import Failed, Refused

ANSWER = 30.0
"""Seconds for the monitors and an OSD to answer."""
WEEK = 7 * 86_400
"""Seconds for which a client stays shut out: longer than whatever it had under way."""


@dataclass(frozen=True)
class Images:
    """Of one Ceph: `options` lead `rbd` and `ceph` there; none for the host's own."""

    host: Runner
    options: tuple[str, ...] = ()

    def clients(self, image: str) -> tuple[str, ...]:
        """ADDRESS:0/NUMBER of whoever watches it or holds a lock on it. `image`: POOL/NAME, or
        POOL/NAMESPACE/NAME. Failed where there is none of that name."""
        watching = self._told("rbd", "status", image)["watchers"]
        locking = self._told("rbd", "lock", "ls", image)
        return tuple(sorted({str(row["address"]) for row in (*watching, *locking)}))

    def ensure_shut_out(
        self, images: Sequence[str], mine: Collection[str], allowed: Callable[[str], None]
    ) -> tuple[str, ...]:
        """Nobody who has one of `images` open writes any more; returns who that was.

        Refused while somebody has it open who is at none of `mine`, the addresses of the server
        that is proven off: then it runs elsewhere. `allowed` is asked before the first is listed.
        """
        found = {client: image for image in images for client in self.clients(image)}
        for client, image in found.items():
            if address_of(client) not in mine:
                raise Refused(
                    f"its disk {image} is open at {address_of(client)}, which is no address of the "
                    "dead server's",
                    where=self.host.where,
                    mend=f"see who that is: rbd status {image}",
                )
        if found:
            allowed(f"shut {', '.join(found)} out of {', '.join(images)}")
        for client in found:
            self._run("ceph", "osd", "blocklist", "add", client, str(WEEK))
        listed = self._listed() if found else set()
        if missing := sorted(set(found) - listed):
            raise Failed(
                f"Ceph was told to blocklist {', '.join(missing)}, and does not list it",
                where=self.host.where,
                mend="see `ceph osd blocklist ls` and `ceph -s` there",
            )
        return tuple(found)

    def _listed(self) -> set[str]:
        # Some versions say how many there are behind it.
        text = self._run("ceph", "osd", "blocklist", "ls", "--format", "json")
        rows = json.JSONDecoder().raw_decode(text.lstrip())[0]
        return {str(row["addr"]) for row in rows}

    def _told(self, *words: str) -> Any:
        return json.loads(self._run(*words, "--format", "json"))

    def _run(self, *words: str) -> str:
        argv = [words[0], *self.options, *words[1:]]
        said = f"`{' '.join(words)}` failed"
        return must(self.host, argv, what=said, timeout=ANSWER).decode(errors="replace")


def address_of(client: str) -> str:
    """10.0.0.1 of 10.0.0.1:0/123, fd00::1 of [fd00::1]:0/123."""
    return str(ip_address(client.rpartition(":")[0].strip("[]")))
