"""The command line. stdout is data, stderr is talk; importing it pulls in click and no more."""

import os
import sys
from collections.abc import Sequence
from typing import NoReturn

COMPLETE_VARIABLE = "_METAL_COMPLETE"
"""Set by the shell's completion script (click's protocol) when it wants to know what may follow."""
LOOPBACK = "localhost,127.0.0.0/8,::1"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 1 failed, 2 bad input, 3 refused,
    4 unreachable, 10 changes pending, 130 interrupted."""
    from metal.cli.ending import ended
    from metal.cli.root import metal

    words = list(sys.argv[1:] if arguments is None else arguments)
    if COMPLETE_VARIABLE in os.environ:
        metal.main(words, prog_name="metal", complete_var=COMPLETE_VARIABLE)
    return ended(metal, words)


def run() -> NoReturn:
    """The process `metal`: one command, and its exit code to the shell."""
    _spare_loopback()
    code = main()
    if "libvirt" in sys.modules:
        _leave(code)
    sys.exit(code)


def _spare_loopback() -> None:
    """No proxy reaches what listens here: a lab's mirror, its BMCs, our own boot service.

    The environment's proxies are for what is outside, and few people who set one think of this.
    """
    kept = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
    if kept != "*":  # which spares everything, and nothing once it stands beside another name
        kept = f"{kept},{LOOPBACK}" if kept else LOOPBACK
    os.environ["no_proxy"] = kept


def _leave(code: int) -> NoReturn:
    """End without taking the interpreter apart: a call to a host that died may still hang in
    libvirt, in a thread that nobody can end, and taken apart under it the process can crash after
    all is said and done."""
    import atexit
    import contextlib

    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        # Closed, or gone, by whoever reads us.
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(code)
