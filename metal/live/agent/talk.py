"""The way to the controller: HTTP to the boot service, with the token of this boot."""

import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

LONGEST_PAUSE = 30.0
"""Seconds between two tries. What was found waits for a controller that is away, for as long as
the power stays on: nobody else knows it, and silence would be taken for a fault."""
GONE = (400, 404, 405, 409, 410, 413)
"""What it answers to somebody, or something, that it does not want."""


class Gone(Exception):
    """The controller does not want this job (any more)."""


class Talk:
    """`beat`: seconds between two signs of life."""

    def __init__(
        self,
        url: str,
        token: str,
        beat: float = 5.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._base = f"{url.rstrip('/')}/job/{token}"
        self._open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open
        self._phase, self._fraction, self._text = "starting", 0.0, ""
        self._beat, self._sleep = beat, sleep
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beats, daemon=True)

    def job(self) -> dict[str, Any]:
        """What is to be done. Asked once: the second time nobody gets it."""
        body: dict[str, Any] = json.loads(self._ask("GET", self._base, None))
        self._thread.start()
        return body

    def progress(self, phase: str, fraction: float, text: str) -> None:
        """From now on every beat says so; one is sent at once."""
        self._phase, self._fraction, self._text = phase, fraction, text
        print(f"metal: {phase} {100 * fraction:.0f} % {text}", flush=True)
        self._send_progress()

    def evidence(self, name: str, body: dict[str, Any]) -> None:
        self._ask("POST", f"{self._base}/evidence/{name}", body)

    def end(self, said: dict[str, Any]) -> None:
        self._over.set()
        self._ask("POST", f"{self._base}/end", said)

    def _beats(self) -> None:
        while not self._over.wait(self._beat):
            self._send_progress()

    def _send_progress(self) -> None:
        """One that is lost is followed by the next."""
        told = {"phase": self._phase, "fraction": self._fraction, "text": self._text}
        try:
            self._once("POST", f"{self._base}/progress", told)
        except (OSError, Gone):
            return

    def _ask(self, method: str, url: str, body: dict[str, Any] | None) -> bytes:
        pause = 1.0
        while True:
            try:
                return self._once(method, url, body)
            except OSError as error:
                print(f"metal: no answer from the controller: {error}", flush=True)
                self._sleep(pause)
                pause = min(LONGEST_PAUSE, pause * 2)

    def _once(self, method: str, url: str, body: dict[str, Any] | None) -> bytes:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data=data, method=method)
        request.add_header("Content-Type", "application/json")
        try:
            with self._open(request, timeout=30) as answer:
                content: bytes = answer.read()
                return content
        except urllib.error.HTTPError as error:
            if error.code in GONE:
                raise Gone(f"{method} {url.rpartition('/')[2]}: {error.code}") from None
            raise

    def download_mib_s(self, path: str, seconds: float) -> float | None:
        """Throughput from the controller, over at most `seconds`; None when it failed."""
        base = self._base.partition("/job/")[0]
        got, began = 0, time.monotonic()
        try:
            with self._open(f"{base}{path}", timeout=30) as answer:
                while piece := answer.read(1024 * 1024):
                    got += len(piece)
                    if time.monotonic() - began > seconds:
                        break
        except OSError:
            return None
        return got / 2**20 / max(0.001, time.monotonic() - began)
