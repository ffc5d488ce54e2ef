"""A console session as `metal console` makes one, with a server that repeats what it is told.

It drops once, as soon as it hears "drop".
"""

import sys
import threading
from pathlib import Path

from metal.cli.terminal import Keyboard, put, raw
from metal.controller.consoles import Log, Session
from metal.model.errors import Unreachable


class Echo:
    def __init__(self) -> None:
        self.said = bytearray(b"alba1 login: ")
        self.more = threading.Event()
        self.more.set()

    def read(self, timeout: float) -> bytes:
        self.more.wait(timeout)
        self.more.clear()
        said, self.said = bytes(self.said), bytearray()
        if b"drop" in said:
            raise Unreachable("the session is gone")
        return said

    def write(self, data: bytes) -> None:
        self.said += data
        self.more.set()

    def close(self) -> None:
        put(b"<closed>")


def say(text: str) -> None:
    put(f"\r\n[{text}]\r\n".encode())


session = Session(Echo, Log(Path(sys.argv[1])), put, say)
with raw(0), Keyboard(0, session.write, session.over):
    session.run()
put(b"\r\nended\r\n")
