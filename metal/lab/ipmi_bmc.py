"""An IPMI 2.0 BMC over a simulated machine: power, boot flags, users, FRU, sensors.

Commands and formats: IPMI 2.0 specification rev. 1.1 (chapter numbers below) and the Platform
Management FRU Information Storage Definition 1.0. Faults are switched at run time, see ipmi_faults.
"""

import re
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

from metal.lab.ipmi_framing import Session
from metal.lab.ipmi_log import Sel
from metal.lab.ipmi_sensors import fru_bytes, reading, sdr_records
from metal.lab.ipmi_sol import Sol
from metal.lab.ipmi_wire import NoAnswer, RmcpServer
from metal.lab.machine import Machine

SELECTORS = {1: "network", 2: "disk", 5: "media", 8: "media"}
"""Boot device selectors, table 28-14."""
MAKER = 674
"""IANA number of what the double says it is made by: Dell."""
TRIES = 3
USERS = 16
OK, UNKNOWN, OUT_OF_RANGE, BAD_LENGTH, NOT_SUPPORTED = 0x00, 0xC1, 0xC9, 0xC7, 0x80
INVALID, TOO_LONG = 0xCC, 0xC8
SMALL = 16
ADMINISTRATOR = 4
SESSIONLESS = {(6, 0x37), (6, 0x38), (6, 0x54)}
"""What a BMC answers before anyone logged in (appendix G)."""
Handler = Callable[[bytes], tuple[int, bytes]]


@dataclass
class User:
    name: str = ""
    password: str = ""
    enabled: bool = False
    privilege: int = 0x0F
    """0xF: no access (22.26)."""


@dataclass
class IpmiBmc:
    """One BMC at host:port (0: any). `accounts` are user → password as delivered."""

    machine: Machine
    host: str
    port: int
    accounts: dict[str, str]
    cipher_suite: int = 17
    faults: set[str] = field(default_factory=set)
    slowness: float = 0.05
    mac: bytes = b"\x02\x00\x5e\x00\xbc\x01"
    """The BMC's own."""
    max_sessions: int = 4
    """As some really have: a client that leaks sessions is soon locked out."""
    kept_elsewhere: Callable[[str], str | None] | None = None
    """User → password where the same BMC keeps its accounts over Redfish; None: no such user."""

    def __post_init__(self) -> None:
        self._users = [User() for _ in range(USERS)]  # slot 1 is the anonymous one
        for slot, (name, password) in enumerate(self.accounts.items(), 1):
            self._users[slot] = User(name, password, True, ADMINISTRATOR)
        self._boot_flags = bytes(5)
        self._boot_flags_for = 0
        self._timer_off = False
        self._datagrams = 0
        self._locked_at: dict[str, int] = {}
        self._server: RmcpServer | None = None
        self.sel = Sel(self.machine, self.faults)
        self.sol = Sol(self.machine.serial, self.faults, lambda: self.port)

    def start(self) -> "IpmiBmc":
        self._server = RmcpServer(
            self.host,
            self.port,
            guid=uuid.UUID(self.machine.hardware.uuid).bytes_le,
            suite=self.cipher_suite,
            password_of=self._password_of,
            command=self._command,
            max_sessions=self.max_sessions,
        )
        self._server.lost = self._lost
        self._server.got_sol, self._server.session_ended = self.sol.got, self.sol.forget
        self.sol.send = self._server.send_sol
        self.port = self._server.address[1]
        self._server.start()
        return self

    def stop(self) -> None:
        if self._server:
            self._server.stop()
            self._server = None

    def works(self, user: str, password: str) -> bool:
        """Whether that credential logs in; a test's own look, it counts as no try."""
        return any(
            u.name == user and u.password == password and u.enabled and u.privilege == ADMINISTRATOR
            for u in self._users
        )

    @property
    def failed_logins(self) -> int:
        """Log-ins that named a known user and did not succeed."""
        return self._server.handshakes - self._server.logins if self._server else 0

    @property
    def open_sessions(self) -> int:
        return sum(s.up for s in self._server.sessions.values()) if self._server else 0

    def _lost(self) -> bool:
        self._datagrams += 1
        if self._server:
            self._server.picks_own_suite = "picks-own-suite" in self.faults
            self._server.highest_role = 3 if "operator-role" in self.faults else 4
            self._server.max_sessions = 0 if "sessions-full" in self.faults else self.max_sessions
        if "slow" in self.faults:
            time.sleep(self.slowness)
        return "silent" in self.faults or ("flaky" in self.faults and self._datagrams % 3 == 0)

    def _password_of(self, name: str) -> str | None:
        """None: no such user, disabled, or locked."""
        locked = "lockout" in self.faults and self.failed_logins >= TRIES
        if locked:
            return None
        if self.kept_elsewhere:
            return self.kept_elsewhere(name)
        user = next((u for u in self._users if u.name == name and name), None)
        return user.password if user and user.enabled and user.privilege != 0x0F else None

    # ── Commands ─────────────────────────────────────────────────────────────────────────────

    def _command(
        self, session: Session | None, netfn: int, command: int, data: bytes
    ) -> tuple[int, bytes]:
        if (netfn, command) == (6, 0x3C) and session is not None:
            return self._close(session)
        if (netfn, command) == (6, 0x48) and session is not None:
            return self.sol.activate(session, data)
        handler = self._handlers.get((netfn, command))
        if handler is None or (session is None and (netfn, command) not in SESSIONLESS):
            return UNKNOWN, b""
        try:
            return handler(data)
        except IndexError:
            return BAD_LENGTH, b""

    @property
    def _handlers(self) -> dict[tuple[int, int], Handler]:
        return {
            (6, 0x01): self._device_id,
            (6, 0x37): self._guid,
            (6, 0x38): self._auth_capabilities,
            (6, 0x3B): self._privilege,
            (6, 0x42): lambda _: (OK, bytes([1, 4, 1, 0x80, 0xF2, 0x1B, 0, 0, 0])),  # 22.24
            (6, 0x43): self._set_user_access,
            (6, 0x44): self._get_user_access,
            (6, 0x45): self._set_user_name,
            (6, 0x46): self._get_user_name,
            (6, 0x47): self._set_user_password,
            (6, 0x54): self._cipher_suites,
            (6, 0x49): self.sol.deactivate,
            (0, 0x01): self._chassis_status,
            (0, 0x02): self._chassis_control,
            (0, 0x08): self._set_boot_options,
            (0, 0x09): self._get_boot_options,
            (4, 0x2D): self._sensor_reading,
            (10, 0x10): self._fru_size,
            (10, 0x11): self._fru_read,
            (10, 0x20): self._sdr_info,
            (10, 0x22): lambda _: (OK, b"\x01\x00"),  # reserve SDR repository, 33.11
            (10, 0x23): self._sdr_get,
            (10, 0x40): self.sel.info,
            (10, 0x42): self.sel.reserve,
            (10, 0x43): self.sel.get,
            (10, 0x47): self.sel.clear,
            (10, 0x48): self.sel.clock,
            (12, 0x02): self._lan_parameter,
            (12, 0x21): self.sol.set_parameter,
            (12, 0x22): self.sol.get_parameter,
        }

    def _auth_capabilities(self, data: bytes) -> tuple[int, bytes]:
        """22.13: IPMI 2.0 only, no anonymous users, no null user names, unless a fault says so."""
        types = 0x01 if "auth-none" in self.faults else 0x00
        nameless = self.faults & {"null-user", "null-user-unlisted"}
        status = 0x04 | (0x02 if nameless else 0x00)
        if "ipmi-1.5" in self.faults:
            return OK, bytes([1, types | 0x04, status, 0, 0, 0, 0, 0])
        return OK, bytes([1, types | 0x80, status, 0x02, 0, 0, 0, 0])

    def _privilege(self, data: bytes) -> tuple[int, bytes]:
        """Set Session Privilege Level, 22.18."""
        highest = 3 if "operator-only" in self.faults else ADMINISTRATOR
        return (0x81, b"") if data[0] > highest else (OK, bytes([data[0] or highest]))

    def _suites(self) -> list[int]:
        zero = self.faults & {"cipher-0", "cipher-0-unused"}
        return [0, self.cipher_suite] if zero else [self.cipher_suite]

    def _cipher_suites(self, data: bytes) -> tuple[int, bytes]:
        """22.15: records of what it speaks, 16 bytes a page."""
        if "no-cipher-list" in self.faults:
            return UNKNOWN, b""
        known = {
            0: b"\xc0\x00\x00\x40\x80",
            3: b"\xc0\x03\x01\x41\x81",
            17: b"\xc0\x11\x03\x44\x81",
        }
        records, page = b"".join(known[n] for n in self._suites()), data[2] & 0x3F
        return OK, b"\x01" + records[page * 16 : page * 16 + 16]

    def _lan_parameter(self, data: bytes) -> tuple[int, bytes]:
        """23.2; table 23-4."""
        zero = 0 if "cipher-0-unused" in self.faults else ADMINISTRATOR
        suites = self._suites()
        levels = [zero if n == 0 else ADMINISTRATOR for n in suites] + [0] * (16 - len(suites))
        known = {
            0: b"\0",
            3: bytes(map(int, self.host.split("."))),
            4: b"\x01",
            5: self.mac,
            6: b"\xff\xff\xff\0",
            16: b"public".ljust(18, b"\0"),
            22: bytes([len(suites)]),
            23: bytes([0, *suites]).ljust(17, b"\0"),
            24: b"\0" + bytes(a | b << 4 for a, b in zip(levels[::2], levels[1::2], strict=True)),
        }
        return (OK, b"\x11" + known[data[1]]) if data[1] in known else (NOT_SUPPORTED, b"")

    def _guid(self, data: bytes) -> tuple[int, bytes]:
        return OK, uuid.UUID(self.machine.hardware.uuid).bytes_le

    def _close(self, session: Session) -> tuple[int, bytes]:
        """22.19. Only its own session: nobody needs to close another's."""
        if self._server:
            self._server.end(session)
        return OK, b""

    def _device_id(self, data: bytes) -> tuple[int, bytes]:
        """20.1: firmware as major, minor in BCD; makes FRU, SDR and sensors known."""
        major, minor = ([*re.findall(r"\d+", self.machine.hardware.bmc_firmware), "0", "0"])[:2]
        firmware = bytes([int(major) & 0x7F, int(minor[:2], 16)])
        return OK, bytes([0x20, 0x01]) + firmware + bytes([0x02, 0x0B]) + MAKER.to_bytes(
            3, "little"
        ) + b"\0\0"

    # ── Chassis (28) ─────────────────────────────────────────────────────────────────────────

    def _chassis_status(self, data: bytes) -> tuple[int, bytes]:
        return OK, bytes([self.machine.power == "on", 0, 0])

    def _chassis_control(self, data: bytes) -> tuple[int, bytes]:
        control = data[0] & 0x0F
        if "reset-ignored" in self.faults:
            return OK, b""
        if control in (0, 2, 3, 5):  # down, cycle, reset, soft
            self.machine.power_off()
        if control in (1, 2, 3):
            self.machine.power_on()
        return OK, b""

    def _set_boot_options(self, data: bytes) -> tuple[int, bytes]:
        parameter = data[0] & 0x7F
        if parameter == 3:  # table 28-14: do not clear the flags after 60 s
            if "no-timer" in self.faults:
                return NOT_SUPPORTED, b""
            self._timer_off = bool(data[1] & 0x08)
        elif parameter == 5 and "boot-override-ignored" not in self.faults:
            if "boot-flag-expires" in self.faults and not self._timer_off:
                return OK, b""
            self._set_boot_flags(bytearray(data[1:6]))
        return OK, b""

    def _set_boot_flags(self, flags: bytearray) -> None:
        was_valid = self._boot_flags[0] & 0x80
        if "boots-another" in self.faults and flags[1]:
            flags[1] = 2 << 2
        if "never-valid" in self.faults or ("stale-boot-flag" in self.faults and not was_valid):
            flags[0] &= 0x7F if flags[1] else 0xFF
        if "legacy-only" in self.faults:
            flags[0] &= ~0x20
        self._boot_flags, self._boot_flags_for = bytes(flags), self.machine.power_ons
        device = SELECTORS.get(flags[1] >> 2 & 0x0F) if flags[0] & 0x80 else None
        self.machine.boot_once = device
        self.machine.boot_mode = ("uefi" if flags[0] & 0x20 else "bios") if device else None

    def _get_boot_options(self, data: bytes) -> tuple[int, bytes]:
        if data[0] != 5:
            return NOT_SUPPORTED, b""
        used_up = self._boot_flags_for != self.machine.power_ons
        return OK, b"\x01\x05" + (bytes(5) if used_up else self._boot_flags)

    # ── Users (22.26 to 22.30) ───────────────────────────────────────────────────────────────

    def _user(self, number: int) -> User:
        return self._users[(number & 0x3F) - 1]

    def _set_user_access(self, data: bytes) -> tuple[int, bytes]:
        self._user(data[1]).privilege = data[2] & 0x0F
        return OK, b""

    def _get_user_access(self, data: bytes) -> tuple[int, bytes]:
        user, enabled = self._user(data[1]), sum(u.enabled for u in self._users)
        state = 0x40 if user.enabled else 0x80
        if "null-user" in self.faults and data[1] & 0x3F == 1:
            return OK, bytes([USERS, enabled | 0x40, 1, 0x30 | ADMINISTRATOR])
        return OK, bytes([USERS, enabled | state, 0, 0x30 | user.privilege])

    def _set_user_name(self, data: bytes) -> tuple[int, bytes]:
        self._user(data[0]).name = data[1:17].rstrip(b"\0").decode("latin-1")
        return OK, b""

    def _get_user_name(self, data: bytes) -> tuple[int, bytes]:
        if not 1 <= data[0] <= USERS:
            return OUT_OF_RANGE, b""
        return OK, self._user(data[0]).name.encode("latin-1").ljust(16, b"\0")

    def _set_user_password(self, data: bytes) -> tuple[int, bytes]:
        user, operation = self._user(data[0]), data[1] & 0x03
        given = data[2:].rstrip(b"\0").decode("latin-1")
        if operation in (0, 1):
            user.enabled = operation == 1
        elif operation == 2:
            long = "no-long-passwords" in self.faults and len(given) > 12
            if long or "password-policy" in self.faults:
                return INVALID, b""
            user.password = given[:16] if "password-cut" in self.faults else given
        elif given != user.password:
            return 0x80, b""
        return OK, b""

    # ── FRU and sensors (33, 34, 35) ─────────────────────────────────────────────────────────

    def _fru_size(self, data: bytes) -> tuple[int, bytes]:
        if data[0] != 0:
            return 0xCB, b""
        return OK, len(self._fru()).to_bytes(2, "little") + b"\0"

    def _fru(self) -> bytes:
        whole = fru_bytes(self.machine, self.faults)
        if "broken-fru" in self.faults:
            return whole[: len(whole) // 3]
        vendor = self.machine.hardware.vendor.encode("latin-1")
        return (
            whole.replace(vendor, b"\xff\xfe" + vendor[2:]) if "odd-fru" in self.faults else whole
        )

    def _fru_read(self, data: bytes) -> tuple[int, bytes]:
        if "silent-fru" in self.faults:
            raise NoAnswer
        start, count = int.from_bytes(data[1:3], "little"), data[3]
        if "small-fru" in self.faults and count > SMALL:
            return TOO_LONG, b""
        chunk = self._fru()[start : start + count]
        return OK, bytes([len(chunk)]) + chunk

    def _sdr_info(self, data: bytes) -> tuple[int, bytes]:
        count = len(sdr_records(self.machine, self.faults))
        return OK, b"\x51" + count.to_bytes(2, "little") + b"\xff\xff" + bytes(8) + b"\x02"

    def _sdr_get(self, data: bytes) -> tuple[int, bytes]:
        records = sdr_records(self.machine, self.faults)
        number, start, count = int.from_bytes(data[2:4], "little"), data[4], data[5]
        if number >= len(records):
            return 0xCB, b""
        following = number + 1 if number + 1 < len(records) else 0xFFFF
        chunk = records[number][start : start + count]
        return OK, following.to_bytes(2, "little") + chunk

    def _sensor_reading(self, data: bytes) -> tuple[int, bytes]:
        if "silent-sensors" in self.faults:
            raise NoAnswer
        state = reading(self.machine, data[0])
        return (OK, state) if state is not None else (0xCB, b"")
