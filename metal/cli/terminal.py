"""The person's terminal as a serial terminal: raw, with an escape as ssh has it."""

import os
import select
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

HELP = b"\r\n~.  end   ~~  one ~   ~?  this\r\n"


class Escapes:
    """Finds ~. at the beginning of a line in what is typed."""

    def __init__(self) -> None:
        self._begins, self._tilde = True, False
        self.ended = False
        self.helped = False
        """~? was typed since this was last set to False."""

    def feed(self, typed: bytes) -> bytes:
        """What of it goes to the server; nothing after ~. does."""
        passed = bytearray()
        for byte in typed:
            if not self.ended:
                self._one(byte, passed)
        return bytes(passed)

    def _one(self, byte: int, passed: bytearray) -> None:
        if self._tilde:
            self._tilde = False
            if byte == ord("."):
                self.ended = True
                return
            if byte == ord("?"):
                self.helped, self._begins = True, True
                return
            passed.append(ord("~"))
            if byte == ord("~"):
                self._begins = False
                return
        elif byte == ord("~") and self._begins:
            self._tilde = True
            return
        passed.append(byte)
        self._begins = byte in b"\r\n"


@contextmanager
def raw(fd: int) -> Iterator[None]:
    """Every key goes through as it is; the terminal is as it was afterwards, whatever happens."""
    import termios
    import tty

    if not os.isatty(fd):
        yield
        return
    before = termios.tcgetattr(fd)
    tty.setraw(fd)
    try:
        yield
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)


class Keyboard:
    """Reads the terminal (or a pipe) in a thread until it ends or `~.` is typed."""

    def __init__(self, fd: int, write: Callable[[bytes], None], over: threading.Event) -> None:
        self._fd, self._write, self._over = fd, write, over
        self._escapes = Escapes() if os.isatty(fd) else None
        self._wake = os.pipe()
        self._thread = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        os.write(self._wake[1], b"x")
        self._thread.join()
        for end in self._wake:
            os.close(end)

    def _read(self) -> None:
        while not self._over.is_set():
            ready, _, _ = select.select([self._fd, self._wake[0]], [], [])
            if self._wake[0] in ready:
                return
            typed = os.read(self._fd, 4096)
            if not typed:
                if self._escapes:  # the terminal is gone; of a pipe it is only its end
                    self._over.set()
                return
            self._pass(typed)

    def _pass(self, typed: bytes) -> None:
        passed = self._escapes.feed(typed) if self._escapes else typed
        if self._escapes and self._escapes.helped:
            self._escapes.helped = False
            put(HELP)
        if passed:
            self._write(passed)
        if self._escapes and self._escapes.ended:
            self._over.set()


def put(data: bytes) -> None:
    """As it came, to stdout."""
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
