"""Serial over LAN of the double. Source: IPMI 2.0 rev. 1.1, chapter 15 and 24."""

import threading
from collections import deque
from collections.abc import Callable

from metal.lab.ipmi_framing import Session
from metal.lab.serial_port import SerialPort

OK, TAKEN, NOT_ACTIVE, DISABLED, UNKNOWN_PARAMETER = 0x00, 0x80, 0x80, 0x81, 0x80
SIZE = 64
"""Characters of a packet."""
PHANTOM = b"\xff\xff\xff\xff"
"""Id of a session that nobody can see, which has the console (I11)."""


class Sol:
    """Who has the console, and what is on its way to them."""

    def __init__(self, serial: SerialPort, faults: set[str], port: Callable[[], int]) -> None:
        self._serial, self._faults, self._port = serial, faults, port
        self.send: Callable[[Session, bytes], None] = lambda _s, _p: None
        self.parameters_set: list[int] = []
        """Numbers of those that somebody tried to set, known or not."""
        self._holder: Session | None = None
        self._phantom = True
        self._lingers = 2
        self._enabled, self._enabled_by_hand = True, False
        self._lock = threading.RLock()
        self._waiting: deque[bytes] = deque()
        self._under_way = b""
        self._sequence, self._last_seen = 0, 0

    # ── Commands (24.1, 24.2, 26.2) ──────────────────────────────────────────────────────────

    def activate(self, session: Session, data: bytes) -> tuple[int, bytes]:
        with self._lock:
            if "sol-off" in self._faults and not self._enabled_by_hand:
                return DISABLED, b""
            if self._taken(session):
                return TAKEN, b""
            self._holder = session
            self._waiting.clear()
            self._under_way, self._sequence, self._last_seen = b"", 0, 0
        self._serial.listen(self._printed)
        size = (SIZE + 4).to_bytes(2, "little")
        return OK, bytes(4) + size + size + self._port().to_bytes(2, "little") + b"\xff\xff"

    def deactivate(self, data: bytes) -> tuple[int, bytes]:
        """Anybody's; who had it is told so."""
        with self._lock:
            phantom, self._phantom = self._phantom and "sol-busy" in self._faults, False
            holder, self._holder = self._holder, None
        if holder:
            self._serial.listen(None)
            self.send(holder, bytes([0, 0, 0, 0x10]))
        return (OK, b"") if holder or phantom else (NOT_ACTIVE, b"")

    def set_parameter(self, data: bytes) -> tuple[int, bytes]:
        self.parameters_set.append(data[1])
        if "no-sol-parameters" in self._faults:
            return UNKNOWN_PARAMETER, b""
        if data[1] == 1:
            self._enabled = bool(data[2] & 1)
            self._enabled_by_hand = self._enabled
        return OK, b""

    def get_parameter(self, data: bytes) -> tuple[int, bytes]:
        """What ipmitool asks before it opens a console."""
        if "no-sol-parameters" in self._faults:
            return UNKNOWN_PARAMETER, b""
        known = {
            0: b"\0",
            1: bytes([self._enabled]),
            2: b"\x84",
            3: b"\x0c\x60",
            4: b"\x07\x32",
            5: b"\x0a",
            6: b"\x0a",
            7: b"\x0e",
            8: self._port().to_bytes(2, "little"),
        }
        return (OK, b"\x11" + known[data[1]]) if data[1] in known else (UNKNOWN_PARAMETER, b"")

    def _taken(self, session: Session) -> bool:
        if "sol-busy" in self._faults and self._phantom:
            return True
        if "sol-lingers" in self._faults and self._lingers:
            self._lingers -= 1
            return True
        return self._holder is not None and self._holder.id != session.id

    # ── Packets (15.9) ───────────────────────────────────────────────────────────────────────

    def forget(self, session: Session) -> None:
        """The session is over, and the console with it."""
        with self._lock:
            if self._holder is session:
                self._holder = None
                self._serial.listen(None)

    def got(self, session: Session, payload: bytes) -> None:
        number, acked = payload[0] & 0x0F, payload[1] & 0x0F
        with self._lock:
            if self._holder is not session:
                return
            if acked and acked == self._sequence:
                self._under_way = b""
            data = payload[4:]
            fresh = number and number != self._last_seen
            self._last_seen = number or self._last_seen
        if fresh:
            self._serial.type(data)
        if number:
            self.send(session, bytes([0, number, len(data) & 0xFF, 0]))
        self._next()

    def _printed(self, data: bytes) -> None:
        with self._lock:
            self._waiting.extend(data[i : i + SIZE] for i in range(0, len(data), SIZE))
        self._next()

    def _next(self) -> None:
        """One packet at a time: the next goes out when this one was acknowledged."""
        with self._lock:
            if self._under_way or not self._waiting or self._holder is None:
                return
            self._sequence = self._sequence % 15 + 1
            self._under_way = bytes([self._sequence, 0, 0, 0]) + self._waiting.popleft()
            self.send(self._holder, self._under_way)
