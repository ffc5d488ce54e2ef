"""The command line. stdout is data, stderr is talk; importing it pulls in click and no more."""

import os
import sys
from collections.abc import Sequence

COMPLETE_VARIABLE = "_METAL_COMPLETE"
"""Set by the shell's completion script (click's protocol) when it wants to know what may follow."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 1 failed, 2 bad input, 3 refused,
    4 unreachable, 10 changes pending, 130 interrupted."""
    from metal.cli.ending import ended
    from metal.cli.root import metal

    words = list(sys.argv[1:] if arguments is None else arguments)
    if COMPLETE_VARIABLE in os.environ:
        metal.main(words, prog_name="metal", complete_var=COMPLETE_VARIABLE)
    return ended(metal, words)
