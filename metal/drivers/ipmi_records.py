"""Sensor data records of one BMC (IPMI 2.0 rev. 1.1, chapter 33), as pyghmi reads them, mended."""

from typing import Any

from pyghmi.ipmi import sdr


class _NoSharing(dict[Any, Any]):
    """pyghmi shares sensor records between BMCs of one kind and date: two machines that differ
    in their drives would be told each other's. This table keeps nothing."""

    def __setitem__(self, key: Any, value: Any) -> None:
        pass


sdr.shared_sdrs = _NoSharing()


class Records(sdr.SDR):  # type: ignore[misc]  # pyghmi has no types
    """A record that is there twice counts once (I19).

    pyghmi takes two records of one sensor for a mistake and knows neither: a BMC that writes its
    records again at each start would have no sensor left.
    """

    def __init__(self, command: Any) -> None:
        self._known: set[bytes] = set()
        super().__init__(command)

    def add_sdr(self, sdrbytes: Any) -> None:
        """`sdrbytes`: a whole record. Its first two bytes are its number, and may differ."""
        body = bytes(sdrbytes[2:])
        if body not in self._known:
            self._known.add(body)
            super().add_sdr(sdrbytes)
