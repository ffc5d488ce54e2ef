"""The serial port of a simulated machine: what it prints, and what is typed into it."""

import threading
from collections.abc import Callable


class SerialPort:
    """Two directions. All methods may be called from any thread."""

    def __init__(self) -> None:
        self.typed = bytearray()
        """All that was ever typed."""
        self.on_typed: Callable[[bytes], None] = self.print
        """What the machine does with it: echo, until somebody says otherwise."""
        self._listener: Callable[[bytes], None] | None = None
        self._lock = threading.Lock()

    def print(self, data: bytes) -> None:
        """The machine writes; nobody may be listening, as on a real wire."""
        with self._lock:
            listener = self._listener
        if listener:
            listener(data)

    def type(self, data: bytes) -> None:
        self.typed += data
        self.on_typed(data)

    def listen(self, listener: Callable[[bytes], None] | None) -> None:
        """One end of the wire: whoever listens last has it."""
        with self._lock:
            self._listener = listener
