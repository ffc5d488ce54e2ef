"""RMCP+ as a BMC speaks it: sessions, RAKP, integrity and encryption over UDP.

Source: IPMI 2.0 specification rev. 1.1, chapter 13 (tables named below), and RFC 2104/2404.
pyghmi's own BMC server speaks SHA-1 only, keeps its sessions in one table of the class and never
forgets one: several BMCs in a process, or cipher suite 17, are out of its reach. This one shares
no code with pyghmi, so the driver (which stands on pyghmi) is tested against a second opinion.
"""

import contextlib
import hmac
import os
import socket
import struct
import threading
import time
from collections.abc import Callable

from metal.lab.ipmi_framing import (
    RMCP,
    SUITES,
    Session,
    aes,
    checksum,
    plain,
    sealed,
)
from metal.model.errors import Refused

ASF_PING = b"\x06\x00\xff\x06\x00\x00\x11\xbe\x80"
IPMI, SOL, OPEN, OPENED = 0x00, 0x01, 0x10, 0x11
RAKP1, RAKP2, RAKP3, RAKP4 = 0x12, 0x13, 0x14, 0x15
"""Payload types, table 13-16."""
NO_RESOURCES, BAD_SESSION, NO_NAME, BAD_ROLE, BAD_CHECK, NO_SUITE = (
    0x01,
    0x02,
    0x0D,
    0x09,
    0x0F,
    0x11,
)
"""RMCP+ status codes, table 13-15."""
IDLE = 60.0
"""Seconds after which a BMC drops a silent session (6.12.15)."""


class NoAnswer(ValueError):
    """Raised by a command that the BMC leaves without an answer."""


Command = Callable[[Session | None, int, int, bytes], tuple[int, bytes]]
"""(session or None, netfn, command, data) → (completion code, data)."""


class RmcpServer:
    """One BMC's UDP port, served by one thread."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        guid: bytes,
        suite: int,
        password_of: Callable[[str], str | None],
        command: Command,
        max_sessions: int = 4,
    ) -> None:
        self.suite, self.guid, self.max_sessions = SUITES[suite], guid, max_sessions
        self.sessions: dict[bytes, Session] = {}
        self.handshakes = 0
        """RAKP 1 that named a known user; those without a success are failed log-ins."""
        self.logins = 0
        self.lost: Callable[[], bool] = lambda: False
        """Asked for every datagram: True drops it."""
        self.picks_own_suite = False
        self.highest_role = 4
        """Privilege that a log-in may ask for: 3 operator, 4 administrator."""
        self.got_sol: Callable[[Session, bytes], None] = lambda _s, _p: None
        self.session_ended: Callable[[Session], None] = lambda _s: None
        self._password_of, self._command = password_of, command
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self._socket.bind((host, port))
        except OSError as error:
            self._socket.close()
            raise Refused(
                f"cannot listen: {error.strerror}",
                where=f"{host}:{port}/udp",
                mend="end what listens there, or set another address",
            ) from error
        self.address: tuple[str, int] = self._socket.getsockname()
        self._stopping = False
        self._thread = threading.Thread(
            target=self._serve, name=f"ipmi-{host}:{self.address[1]}", daemon=True
        )

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping = True
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as waker:
            waker.sendto(b"", self.address)
        self._thread.join(5)
        self._socket.close()

    def _serve(self) -> None:
        while True:
            datagram, client = self._socket.recvfrom(4096)
            if self._stopping:
                return
            if self.lost():
                continue
            with contextlib.suppress(IndexError, struct.error, ValueError, KeyError):
                # A malformed datagram gets no answer, as the specification wants.
                answer = self._answer(datagram, client)
                if answer:
                    self._socket.sendto(answer, client)

    # ── Framing ──────────────────────────────────────────────────────────────────────────────

    def _answer(self, datagram: bytes, client: tuple[str, int]) -> bytes | None:
        if datagram.startswith(ASF_PING):  # 13.2.3: presence ping → pong
            return (
                b"\x06\x00\xff\x06\x00\x00\x11\xbe\x40"
                + datagram[9:10]
                + (b"\x00\x10\x00\x00\x11\xbe" + bytes(4) + b"\x81" + bytes(7))
            )
        if not datagram.startswith(RMCP):
            return None
        if datagram[4] == 0x00:  # IPMI 1.5 format without authentication, 13.6
            if any(datagram[5:13]):
                return None  # IPMI 1.5 sessions are not spoken
            message = datagram[14 : 14 + datagram[13]]
            reply = self._message(None, message)
            return RMCP + bytes(9) + bytes([len(reply)]) + reply
        return self._answer_v2(datagram, client) if datagram[4] == 0x06 else None

    def _answer_v2(self, datagram: bytes, client: tuple[str, int]) -> bytes | None:
        kind, session_id = datagram[5], datagram[6:10]
        (length,) = struct.unpack_from("<H", datagram, 14)
        payload = datagram[16 : 16 + length]
        if kind & 0xC0:
            return self._in_session(datagram, client, session_id, kind & 0x3F, payload)
        handlers = {OPEN: self._open, RAKP1: self._rakp1, RAKP3: self._rakp3}
        if kind in handlers:
            return plain(kind + 1, handlers[kind](payload))
        if kind == IPMI and not any(session_id):
            return plain(IPMI, self._message(None, payload))
        return None

    def _message(self, session: Session | None, message: bytes) -> bytes:
        """An IPMI LAN message and its response, figure 13-4."""
        to, netfn_lun, _, sender, seq_lun, command = message[:6]
        code, data = self._command(session, netfn_lun >> 2, command, message[6:-1])
        head = bytes([sender, ((netfn_lun >> 2) + 1) << 2 | (seq_lun & 3)])
        body = bytes([to, (seq_lun & 0xFC) | (netfn_lun & 3), command, code]) + data
        return head + checksum(head) + body + checksum(body)

    # ── Handshake ────────────────────────────────────────────────────────────────────────────

    def _open(self, payload: bytes) -> bytes:
        """Open session, tables 13-9 and 13-10."""
        tag, console_id = payload[0:1], payload[4:8]
        proposed = payload[12], payload[20], payload[28]
        suite = self.suite
        if proposed != (suite.authentication, suite.integrity, 1) and not self.picks_own_suite:
            return tag + bytes([NO_SUITE, 0, 0]) + console_id
        if not self._make_room():
            return tag + bytes([NO_RESOURCES, 0, 0]) + console_id
        session = Session(console_id, os.urandom(4), suite, time.monotonic())
        self.sessions[session.id] = session
        chosen = (0, suite.authentication), (1, suite.integrity), (2, 1)
        return (
            tag
            + bytes([0, 4, 0])
            + console_id
            + session.id
            + b"".join(bytes([kind, 0, 0, 8, algorithm, 0, 0, 0]) for kind, algorithm in chosen)
        )

    def _rakp1(self, payload: bytes) -> bytes:
        """RAKP messages 1 and 2, tables 13-11 and 13-12."""
        tag, session = payload[0:1], self.sessions.get(payload[4:8])
        if session is None:
            return tag + bytes([BAD_SESSION, 0, 0]) + bytes(4)
        role, name = payload[24:25], payload[28 : 28 + payload[27]]
        if role[0] & 0x0F > self.highest_role:
            return tag + bytes([BAD_ROLE, 0, 0]) + session.console_id
        password = self._password_of(name.decode("latin-1"))
        if password is None:
            del self.sessions[session.id]
            return tag + bytes([NO_NAME, 0, 0]) + session.console_id
        if not session.keys:
            self.handshakes += 1
            session.random = os.urandom(16)
        session.user = name.decode("latin-1")
        user = role + bytes([len(name)]) + name
        key, theirs, ours = password.encode().ljust(20, b"\0"), payload[8:24], session.random
        check = session.mac(key, session.console_id + session.id + theirs + ours + self.guid + user)
        sik = session.mac(key, theirs + ours + user)
        session.keys = {
            "rakp3": session.mac(key, ours + session.console_id + user),
            "rakp4": session.mac(sik, theirs + session.id + self.guid),
            "integrity": session.mac(sik, b"\x01" * 20),
            "aes": session.mac(sik, b"\x02" * 20)[:16],
        }
        return tag + bytes(3) + session.console_id + ours + self.guid + check

    def _rakp3(self, payload: bytes) -> bytes:
        """RAKP messages 3 and 4, tables 13-13 and 13-14."""
        tag, session = payload[0:1], self.sessions.get(payload[4:8])
        if session is None or not session.keys:
            return tag + bytes([BAD_SESSION, 0, 0]) + bytes(4)
        good = payload[1] == 0 and hmac.compare_digest(payload[8:], session.keys["rakp3"])
        if not good:
            del self.sessions[session.id]
            return tag + bytes([BAD_CHECK, 0, 0]) + session.console_id
        if not session.up:
            self.logins += 1
        session.up = True
        check = session.keys["rakp4"][: session.suite.check_bytes]
        return tag + bytes(3) + session.console_id + check

    def _make_room(self) -> bool:
        """Forget what is idle, then handshakes that nobody finished. False: full of live ones."""
        now = time.monotonic()
        self.sessions = {k: s for k, s in self.sessions.items() if now - s.used < IDLE}
        if len(self.sessions) >= self.max_sessions:
            self.sessions = {k: s for k, s in self.sessions.items() if s.up}
        return len(self.sessions) < self.max_sessions

    # ── In session ───────────────────────────────────────────────────────────────────────────

    def _in_session(
        self,
        datagram: bytes,
        client: tuple[str, int],
        session_id: bytes,
        kind: int,
        payload: bytes,
    ) -> bytes | None:
        """An authenticated, encrypted packet, tables 13-8 and 13-20."""
        session = self.sessions.get(session_id)
        if session is None or not session.up or datagram[5] & 0xC0 != 0xC0:
            return None
        size, key = session.suite.check_bytes, session.keys["integrity"]
        if not hmac.compare_digest(session.mac(key, datagram[4:-size])[:size], datagram[-size:]):
            return None
        session.used, session.client = time.monotonic(), client
        clear = aes(session.keys["aes"], payload[:16]).decryptor().update(payload[16:])
        message = clear[: len(clear) - clear[-1] - 1]
        if kind == SOL:
            self.got_sol(session, message)
        return sealed(session, IPMI, self._message(session, message)) if kind == IPMI else None

    def send_sol(self, session: Session, payload: bytes) -> None:
        """Unasked, to where the session's last packet came from."""
        with contextlib.suppress(OSError):
            self._socket.sendto(sealed(session, SOL, payload), session.client)

    def end(self, session: Session) -> None:
        self.sessions.pop(session.id, None)
        self.session_ended(session)
