"""All of it, in a few minutes; `python -m metal.lab.bench sweep` is only that part."""

import sys
from collections.abc import Sequence

from metal.lab.bench import (
    addresses,
    balancing,
    filling,
    forming,
    ipmi,
    looks,
    measures,
    network,
    polling,
    relieving,
    repairing,
    sending,
    surviving,
    sweep,
    watching,
)

PARTS = {
    "processes": measures.processes,
    "planning": measures.planning,
    "journal": measures.journal,
    "addresses": addresses.addresses,
    "network": network.network,
    "surviving": surviving.surviving,
    "filling": filling.filling,
    "balancing": balancing.balancing,
    "repairing": repairing.repairing,
    "relieving": relieving.relieving,
    "ipmi": ipmi.ipmi,
    "sweep": sweep.sweep,
    "forming": forming.forming,
    "looks": looks.looks,
    "watching": watching.watching,
    "polling": polling.polling,
    "calm": watching.calm,
    "sending": sending.sending,
}


def main(words: Sequence[str]) -> int:
    """Exit code: 0 measured, 2 for a part that does not exist."""
    names = ", ".join(PARTS)
    if {"-h", "--help"} & {*words}:
        print(f"usage: python -m metal.lab.bench [PART ...]\n\n{__doc__}\nparts: {names}")
        return 0
    if unknown := [word for word in words if word not in PARTS]:
        print(f"no such part: {', '.join(unknown)}; there are {names}", file=sys.stderr)
        return 2
    for name in words or PARTS:
        PARTS[name]()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
