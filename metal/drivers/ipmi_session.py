"""One IPMI session on pyghmi: the cipher suite forced and verified, every wait with a deadline.

Stands on pyghmi's `simplesession` and not on its usual `session`: that one shares sockets, an
I/O thread and tables between all sessions of the process, hangs when a second one is opened to
the same BMC, offers suite 17 and falls back to 3 by itself without looking at what the BMC
accepted, and needs 5.6 s to say "None" of a dead BMC. `simplesession` has one socket a session and
no thread; what it lacks (retries, time-outs) is added here.

Protocol: IPMI 2.0 rev. 1.1, chapter 13. Quirk numbers (I…) are those of docs/bmc-quirks.md.
"""

import contextlib
import socket
import struct
import threading
import time
from types import SimpleNamespace
from typing import Any

from pyghmi import exceptions
from pyghmi.ipmi.private import simplesession

from metal.drivers.readable import readable
from metal.model.errors import Failed

SUITES = {17: (256, (3, 4, 1)), 3: (1, (1, 1, 1))}
"""Suite → pyghmi's name of its hash, and (authentication, integrity, confidentiality), 22-20."""
NO_SUITE = (0x04, 0x05, 0x10, 0x11, 0x12)
"""Status codes by which BMCs say that they do not speak a suite (table 13-15; I01, I02)."""
BAD_SESSION = 0x02
MALFORMED = (IndexError, KeyError, TypeError, ValueError, struct.error)
"""What pyghmi ends with where a datagram is shorter than it says, or no IPMI at all."""
RESEND = 0.7
"""Seconds until a datagram is sent again; then twice as long, and so on."""


simplesession.select = SimpleNamespace(
    select=lambda sockets, _writers, _failing, seconds: (readable(sockets, seconds), [], [])
)
"""It asks select(2) whether a datagram came, which fails beyond 1023 open files."""


class Silent(Exception):
    """No answer before the deadline. `heard`: it answered something before, so it lives."""

    def __init__(self, heard: bool) -> None:
        super().__init__("no answer in time")
        self.heard = heard


class WrongSuite(Exception):
    """The BMC does not speak the proposed cipher suite."""


class Rejected(Exception):
    """The BMC does not let us in; `status` is the RMCP+ status, 0 if it was pyghmi's verdict."""

    def __init__(self, what: str, status: int = 0) -> None:
        super().__init__(what)
        self.status = status


class Session(simplesession.Session):  # type: ignore[misc]  # pyghmi has no types
    """pyghmi's session with one suite, a connected socket, retries and deadlines."""

    socketchecking = threading.Lock()
    seqlun: int

    def __init__(
        self,
        address: str,
        port: int,
        user: str,
        password: str,
        *,
        suite: int,
        timeout: float,
        quiet: float,
        privilege: int = 4,
    ) -> None:
        """`timeout` s for each answer, `quiet` s for the one that tells whether it has `suite`."""
        self.peer, self._patience, self._quiet = (address, port), timeout, quiet
        self._hash, self._algorithms = SUITES[suite]
        self._hurry(timeout)
        try:
            # A privilege given keeps pyghmi from trying again with a lower one.
            super().__init__(address, user, password, port=port, privlevel=privilege)
        except BaseException:
            self.drop()
            raise

    # ── Socket and time ──────────────────────────────────────────────────────────────────────

    def _assignsocket(self, server: Any = None) -> socket.socket:
        family, kind, _, _, target = socket.getaddrinfo(*self.peer, type=socket.SOCK_DGRAM)[0]
        udp = socket.socket(family, kind)
        udp.connect(target)  # datagrams of others are dropped, a closed port is told at once
        return udp

    def _hurry(self, seconds: float) -> None:
        self._deadline = time.monotonic() + seconds
        self._pause = RESEND

    def _xmit_packet(
        self, retry: bool = True, delay_xmit: float | None = None, timeout: Any = None
    ) -> None:
        if self.sequencenumber:  # 0 is that of packets outside a session and stays
            self.sequencenumber += 1
        if delay_xmit:
            time.sleep(delay_xmit)
        self.socket.send(bytes(self.netpacket))
        self._resend_at = time.monotonic() + self._pause

    def wait_for_rsp(self, timeout: float | None = None, callout: bool = True) -> None:
        """Handle one answer, or send again what got none. Silent once the deadline is past."""
        now = time.monotonic()
        if now >= self._deadline:
            raise Silent(heard=self.sockaddr is not None)
        until = min(self._resend_at, self._deadline)
        if readable([self.socket], until - now):
            self.take()
        elif time.monotonic() >= self._resend_at:
            self._pause *= 2
            self._send_again()

    def take(self) -> None:
        """Handle what has come; what nobody can read is noise, and no answer."""
        with contextlib.suppress(*MALFORMED):
            self.process_pktqueue()

    def _send_again(self) -> None:
        """A lost handshake begins anew: BMCs do not take a RAKP message twice."""
        self._resend_at = time.monotonic() + self._pause
        context = self.sessioncontext
        if context == "OPENSESSION":
            self.lastpayload = None
            self._open_rmcpplus_request()
        elif context in ("EXPECTINGRAKP2", "EXPECTINGRAKP4"):
            self.lastpayload = None
            self._relog()
        elif self.lastpayload:
            self.hasretried = 1
            self.send_payload()

    def awaitresponse(self, retry: bool) -> None:
        while retry and self.lastresponse is None and self.logged:
            self.wait_for_rsp()

    def raw_command(self, *args: Any, **kwargs: Any) -> Any:
        self._hurry(self._patience)
        try:
            return super().raw_command(*args, **kwargs)
        except Silent:
            self._abandon()
            raise

    def _abandon(self) -> None:
        """The session lives on after a command without an answer, and one that comes late is
        not taken for that of the next command."""
        self.incommand, self.lastpayload = False, None
        self.request_entry.clear()
        self.seqlun = (self.seqlun + 1) & 0x3F

    # ── Handshake ────────────────────────────────────────────────────────────────────────────

    def _initsession(self) -> None:
        super()._initsession()
        self.attemptedhash = self._hash

    def _get_session_challenge(self) -> None:
        raise Failed(
            "it speaks IPMI 1.5 only",
            mend="update its firmware, or manage its power with a switched PDU",
        )

    def _open_rmcpplus_request(self) -> None:
        if self.sessioncontext != "OPENSESSION":  # not when it is sent again
            self._hurry(self._quiet)
        super()._open_rmcpplus_request()

    def _got_rmcp_response(self, data: Any) -> Any:
        """Open session response, table 13-10: refused, or accepted with which algorithms?"""
        if self.sessioncontext != "OPENSESSION" or data[0] != self.rmcptag:
            return None
        if data[1] in NO_SUITE:
            raise WrongSuite(f"RMCP+ status {data[1]:#04x}")
        _check_status(data[1])
        accepted = tuple(data[i] & 0x3F for i in (16, 24, 32))
        if accepted != self._algorithms:
            raise WrongSuite(f"it answers with other algorithms {accepted}")
        self._hurry(self._patience)
        return super()._got_rmcp_response(data)

    def _got_rakp2(self, data: Any) -> Any:
        if data[0] == self.rmcptag and data[1] != BAD_SESSION:  # that one is begun anew
            _check_status(data[1])
        return super()._got_rakp2(data)

    def _got_rakp4(self, data: Any) -> Any:
        if data[0] == self.rmcptag and data[1] != BAD_SESSION:
            _check_status(data[1])
        return super()._got_rakp4(data)

    def onlogon(self, parameter: Any) -> None:
        if "error" in parameter:
            raise Rejected(str(parameter["error"]))
        super().onlogon(parameter)

    # ── End ──────────────────────────────────────────────────────────────────────────────────

    def logout(self, sessionok: bool = True) -> Any:
        """Close session (22.19), and wait for the answer: BMCs have four sessions or so (I10)."""
        if self.logged:
            self._patience = min(self._patience, 2.0)
            with contextlib.suppress(OSError, exceptions.IpmiException, Silent):
                self.raw_command(netfn=6, command=0x3C, data=self.sessionid.to_bytes(4, "little"))
        self.drop()
        return {"success": True}

    def drop(self) -> None:
        """Forget it without a word: it is dead or was never open."""
        simplesession.Session.keepalive_sessions.pop(self, None)
        self.logged, self.logging = 0, False
        udp = getattr(self, "socket", None)
        if udp is not None:
            udp.close()


def _check_status(status: int) -> None:
    if status:
        raise Rejected(f"RMCP+ status {status:#04x}", status)
