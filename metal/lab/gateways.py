"""A pair of gateways as a double: what root runs there over SSH, and who carries the site.

Their files are strings; what engines make of them is what a test says. A gateway's timer runs
out after so many commands that were sent to the pair, so nobody waits for a clock.
"""

import io
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from metal.drivers.commands import Result
from metal.drivers.trial import SOON
from metal.lab.trials import Trials
from metal.model.errors import Unreachable

PATIENCE = 40
"""Commands to the pair after which what nobody confirmed is taken back."""
Files = dict[str, str]


@dataclass
class PretendPair:
    """Two gateways, the first of which carries the site; "nobody" does where they are new."""

    cuts: Callable[[Files], bool] = lambda _files: False
    """Whether a gateway with these files leads nowhere, when it carries the site."""
    gateways: "dict[str, PretendGateway]" = field(default_factory=dict)
    carrier: str = "gateway1"
    asked: int = 0
    carried: list[str] = field(default_factory=list)
    """Who carried the site, in order."""

    def __post_init__(self) -> None:
        self.gateways = {name: PretendGateway(self, name) for name in ("gateway1", "gateway2")}

    @property
    def reached(self) -> bool:
        """Whether the site is: everything comes in by who carries it, and SSH, too."""
        return self.carrier == "nobody" or not self.cuts(self.gateways[self.carrier].in_use)

    def tick(self) -> None:
        self.asked += 1
        for gateway in self.gateways.values():
            gateway.tick()

    def comes_back(self) -> bool:
        """Whoever is patient hangs on a connection until its gateway took its files back."""
        for _ in range(PATIENCE):
            self.tick()
        return self.reached

    def leave(self, name: str) -> None:
        """Its keepalived restarts; the other one takes over, if it was ever set up."""
        others = [other for other, it in self.gateways.items() if other != name and it.in_use]
        before = self.carrier
        if before in (name, "nobody"):
            self.carrier = others[0] if others else name
        if before != self.carrier:
            self.carried.append(self.carrier)


class PretendGateway:
    """metal.drivers.commands.Runner."""

    def __init__(self, pair: PretendPair, name: str) -> None:
        self._pair, self.where = pair, name
        self._due: list[tuple[int, Callable[[], object]]] = []
        self.trials = Trials(used=self._use, later=self._later)
        self.in_use: Files = {}
        self.packaged: tuple[str, ...] = ()
        self.stopped: list[str] = []
        self.unfit = ""
        """What an engine has against whatever comes."""
        self.ran: list[str] = []

    @property
    def files(self) -> Files:
        return self.trials.files

    def tick(self) -> None:
        over = [act for at, act in self._due if at <= self._pair.asked]
        self._due = [(at, act) for at, act in self._due if at > self._pair.asked]
        for act in over:
            act()

    def _later(self, _seconds: float, act: Callable[[], object]) -> None:
        self._due.append((self._pair.asked + PATIENCE, act))

    def _use(self, _name: str, _back: bool) -> str:
        self.in_use = dict(self.files)
        self._pair.leave(self.where)
        return ""

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout: float = 60.0) -> Result:
        self._pair.tick()
        if not self._pair.reached and not (timeout > SOON and self._pair.comes_back()):
            raise Unreachable("no route to host", where=self.where)
        told = self.trials.answer(argv, stdin)
        if told is not None:
            self.ran.append(argv[4])
            return told
        return self._answer(list(argv))

    def _answer(self, argv: list[str]) -> Result:
        match argv:
            case ["systemctl", "restart", "keepalived"]:
                self.ran.append("hand over")
                self._pair.leave(self.where)
                return _said("")
            case ["sh", "-c", script] if "would do" in script:
                return Result(1, self.unfit.encode(), "") if self.unfit else _said("")
            case ["sh", "-c", script, "_", *_] if "as a tar" in script:
                return Result(0, self._packed(), "")
            case ["sh", "-c", script, "_", *_] if "as their packages" in script:
                return _said("\n".join(self.packaged))
            case ["sh", "-c", script, "_", _] if "has the address" in script:
                return _said("1" if self._pair.carrier == self.where else "0")
            case ["sh", "-c", script, "_", *_] if "do not run" in script:
                return _said("\n".join(self.stopped))
            case ["sh", "-c", script, "_", _] if "not at its end" in script:
                return _said("before" if self.trials.before else "")
        return Result(127, b"", "the lab's gateways do not know this command")

    def _packed(self) -> bytes:
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as tar:
            for path, text in self.files.items():
                entry = tarfile.TarInfo(path.lstrip("/"))
                entry.size = len(text.encode())
                tar.addfile(entry, io.BytesIO(text.encode()))
        return packed.getvalue()


def _said(text: str) -> Result:
    return Result(0, f"{text}\n".encode() if text else b"", "")
