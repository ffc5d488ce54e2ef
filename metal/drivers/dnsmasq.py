"""dnsmasq as the engine for DHCP, proxyDHCP, TFTP and router advertisements: supervised, heard.

It is started in the foreground and started again when it dies. Its log is the only place where
it tells who asked: each line is handed on, and what matters in it is counted.
"""

import re
import shutil
import subprocess
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from metal.model.errors import Failed, Refused

PAUSES = (0.5, 2.0, 10.0)
"""Seconds before it is started again: after the first death, the second, all others."""
STEADY = 60.0
"""Seconds it must run until its deaths are forgotten."""
SAID = {
    "stranger": re.compile(r"DHCP(?:DISCOVER|REQUEST|SOLICIT)?.* ignored"),
    "offered": re.compile(r"DHCP(?:OFFER|ADVERTISE)\("),
    "proxied": re.compile(r"PXE\("),
    "sent": re.compile(r"sent (.+) to "),
    "failed transfer": re.compile(r"failed sending|file .* not found|error \d+ .* received"),
}
"""What is counted → how dnsmasq says it."""


def check(config: Path) -> None:
    """Failed, with dnsmasq's own words, unless it accepts the file."""
    done = subprocess.run(
        [_program(), "--test", f"--conf-file={config}"], capture_output=True, text=True, timeout=20
    )
    if done.returncode:
        raise Failed(
            f"dnsmasq does not accept its configuration: {done.stderr.strip()}",
            where=str(config),
            mend="mend the workspace's own pxe/dnsmasq.conf.j2, or remove it",
        )


class Dnsmasq:
    """`with Dnsmasq(text, folder):` runs it; `folder` holds its configuration and leases."""

    def __init__(self, text: str, folder: Path, heard: Callable[[str], None] | None = None) -> None:
        """`heard` gets every line of its log, in a thread of its own."""
        self._text, self._folder, self._heard = text, folder, heard or (lambda _line: None)
        self._process: subprocess.Popen[str] | None = None
        self._stop = threading.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._supervise, name="dnsmasq", daemon=True)
        self._lock = threading.Lock()
        self._last = ""
        self.counts: Counter[str] = Counter()
        self.restarts = 0

    @property
    def config(self) -> Path:
        return self._folder / "dnsmasq.conf"

    def __enter__(self) -> "Dnsmasq":
        """Returns once it answers; Failed with its own words when it cannot."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self.config.write_text(self._text, encoding="utf-8")
        check(self.config)
        self._thread.start()
        self._ready.wait(20)
        if not self._ready.is_set() or self.pid is None:
            self.__exit__()
            raise Failed(
                f"dnsmasq does not stay up: {self._last or 'it said nothing'}",
                where=str(self.config),
                mend="DHCP needs root, the interface must exist and have its address; "
                "`ss -ulpn` shows who else listens on ports 67 and 69",
            )
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        with self._lock:
            if self._process and self._process.poll() is None:
                self._process.terminate()
        self._thread.join(10)

    @property
    def pid(self) -> int | None:
        """Of the running one; None between two."""
        process = self._process
        return process.pid if process and process.poll() is None else None

    def _supervise(self) -> None:
        import time

        deaths = 0
        while not self._stop.is_set():
            begun = time.monotonic()
            self._run()
            if not self._ready.is_set():
                self._ready.set()  # it never came up: whoever waits must be told
                return
            deaths = 0 if time.monotonic() - begun > STEADY else deaths
            if self._stop.wait(PAUSES[min(deaths, len(PAUSES) - 1)]):
                return
            deaths, self.restarts = deaths + 1, self.restarts + 1

    def _run(self) -> None:
        """One life of it, its log read to the end."""
        words = [
            _program(),
            "--keep-in-foreground",
            "--log-facility=-",
            f"--conf-file={self.config}",
        ]
        with self._lock:
            if self._stop.is_set():
                return
            self._process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
            )
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._note(line.strip())
        self._process.wait()

    def _note(self, line: str) -> None:
        self._last = line
        if "started" in line or "TFTP" in line:
            self._ready.set()
        for what, pattern in SAID.items():
            if pattern.search(line):
                self.counts[what] += 1
        self._heard(line)


def _program() -> str:
    program = shutil.which("dnsmasq") or shutil.which("dnsmasq", path="/usr/sbin:/sbin")
    if program is None:
        raise Refused("dnsmasq is not installed", mend="apt install dnsmasq-base")
    return program
