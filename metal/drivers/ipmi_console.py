"""Serial over LAN: a server's serial console through a session of its own.

Source: IPMI 2.0 rev. 1.1, chapter 15 (packets, table 15-2), 24.1 and 24.2 (payloads), 26.2.
"""

import threading
import time
from collections.abc import Callable
from typing import Any

from pyghmi.exceptions import IpmiException

from metal.drivers.ipmi_ask import ask, ask_if_known, refusal
from metal.drivers.ipmi_login import Command, silence
from metal.drivers.ipmi_session import Silent
from metal.drivers.readable import readable
from metal.model.errors import Refused, Unreachable

SOL = 1
"""Payload type, table 13-16."""
SECURE = 0xC0
"""Encrypted and authenticated, as the session is."""
TAKEN, DISABLED, FULL = 0x80, 0x81, 0x82
ENABLE = 1
"""SOL configuration parameter, table 26-5."""
NACK, GONE = 0x40, 0x10
SMALLEST, LARGEST = 16, 200
"""Characters of a packet: BMCs tell their buffer's size, and some tell nonsense."""
ACK_SECONDS, TRIES = 1.0, 5
KEEP_ALIVE = 20.0
"""Seconds of silence after which something is asked: BMCs drop a session after 60."""
SLICE = 0.2


class IpmiConsole:
    """metal.drivers.ports.Console. Read from one thread and write from another as you like."""

    def __init__(self, where: str, open_: Callable[[], Command]) -> None:
        """Takes the console from whoever has it (I11). `open_` logs in anew."""
        self._where = where
        self._lock = threading.RLock()
        self._buffer = bytearray()
        self._broken = ""
        self._mine, self._theirs = 0, 0
        self._acked, self._count, self._status = 0, 0, 0
        self._command: Command | None = open_()
        try:
            self._room = self._activate(self._command)
        except BaseException:
            self._leave()
            raise
        self._session = self._command.ipmi_session
        self._session.sol_handler = self._got
        self._asked = time.monotonic()

    # ── Taking it ────────────────────────────────────────────────────────────────────────────

    def _activate(self, command: Command) -> int:
        """Characters that fit a packet. Who has it is put out; SOL switched off is switched on."""
        remedies: list[Callable[[Command], object]] = [_put_out, _toggle]
        while True:
            try:
                answer = ask(command, 6, 0x48, SOL, 1, SECURE, 0, 0, 0)
                break
            except (Silent, OSError) as error:
                raise silence(self._where, error) from error
            except IpmiException as error:
                if error.ipmicode not in (TAKEN, DISABLED, FULL) or not remedies:
                    raise self._no_console(error) from error
                remedy = _toggle if error.ipmicode == DISABLED else remedies[0]
                remedies = remedies[remedies.index(remedy) + 1 :] if remedy in remedies else []
                remedy(command)
        size = int.from_bytes(answer[4:6], "little") - 4
        return min(max(size, SMALLEST), LARGEST)

    def _no_console(self, error: IpmiException) -> Exception:
        if error.ipmicode in (TAKEN, FULL):
            return Refused(
                "somebody else has the serial console and could not be put out",
                where=self._where,
                mend="close the console in the BMC's web page, or restart the BMC",
            )
        if error.ipmicode in (DISABLED, 0xC1, 0xCC):
            return Refused(
                "it has no serial console over IPMI, or it is switched off",
                where=self._where,
                mend="switch on serial over LAN in the BMC's settings and serial console "
                "redirection in the firmware's setup",
            )
        return refusal(error, self._where)

    # ── Reading and writing ──────────────────────────────────────────────────────────────────

    def read(self, timeout: float) -> bytes:
        until = time.monotonic() + timeout
        while True:
            with self._lock:
                self._pump()
                if self._buffer:
                    found = bytes(self._buffer)
                    self._buffer.clear()
                    return found
                self._keep_alive()
                udp = self._live()
            left = until - time.monotonic()
            if left <= 0:
                return b""
            try:
                readable([udp], min(left, SLICE))
            except (OSError, ValueError):
                self._broken = self._broken or "it was closed"

    def write(self, data: bytes) -> None:
        with self._lock:
            while data:
                data = data[self._send(data[: self._room]) :]

    def _send(self, chunk: bytes) -> int:
        """How many characters the BMC took; sent again until it says so."""
        self._mine = self._mine % 15 + 1
        for _ in range(TRIES):
            self._packet(bytes([self._mine, 0, 0, 0]) + chunk)
            until = time.monotonic() + ACK_SECONDS
            while (left := until - time.monotonic()) > 0:
                self._acked, self._count = 0, 0
                readable([self._live()], min(left, SLICE))
                self._pump()
                if self._acked == self._mine:
                    if self._count or not self._status & NACK:
                        return self._count or len(chunk)
                    break  # its buffer is full: the same again
        raise self._break("the BMC takes no more characters")

    def _got(self, payload: bytearray) -> None:
        """A SOL packet of the BMC's: characters, an acknowledgement, or both."""
        number, acked, count, status = payload[:4]
        if acked & 0x0F:
            self._acked, self._count, self._status = acked & 0x0F, count, status
        data = bytes(payload[4:])
        if number & 0x0F:
            if number & 0x0F != self._theirs:
                self._theirs = number & 0x0F
                self._buffer += data
            self._packet(bytes([0, self._theirs, len(data) & 0xFF, 0]))
        if status & GONE:
            self._broken = "the BMC ended it: somebody else may have taken it"

    def _packet(self, payload: bytes) -> None:
        try:
            self._session.send_payload(bytearray(payload), payload_type=SOL, retry=False)
        except OSError as error:
            raise self._break(str(error)) from error

    def _pump(self) -> None:
        """What has come so far. What came before it broke can still be read."""
        if self._broken and not self._buffer:
            raise self._break(self._broken)
        if self._command is None:
            return
        try:
            self._session.take()
        except OSError as error:
            raise self._break(str(error)) from error

    def _keep_alive(self) -> None:
        if self._broken or time.monotonic() - self._asked < KEEP_ALIVE:
            return
        self._asked = time.monotonic()
        try:
            self._session.raw_command(netfn=6, command=1)
        except (Silent, OSError, IpmiException) as error:
            raise self._break(str(error)) from error

    def _live(self) -> Any:
        if self._broken or self._command is None:
            raise self._break(self._broken or "it was closed")
        return self._session.socket

    def _break(self, why: str) -> Unreachable:
        self._broken = why
        return Unreachable(f"the console broke: {why}", where=self._where, mend="open it again")

    def close(self) -> None:
        """Give the console back, and the session."""
        with self._lock:
            self._broken = self._broken or "it was closed"
            self._leave()

    def _leave(self) -> None:
        command, self._command = self._command, None
        if command is None:
            return
        try:
            _put_out(command)
        except (Silent, OSError):
            command.ipmi_session.drop()
        else:
            command.ipmi_session.logout()


def _put_out(command: Command) -> None:
    """Deactivate payload (24.2), whoever has it; that nobody has is no error."""
    ask_if_known(command, 6, 0x49, SOL, 1, 0, 0, 0, 0)


def _toggle(command: Command) -> None:
    """Off and on, which frees one that hangs; parameters it does not know are no error (I12)."""
    _put_out(command)
    for value in (0, 1):
        ask_if_known(command, 12, 0x21, 0x0E, ENABLE, value)
