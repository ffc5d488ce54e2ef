"""All of it, in a few minutes; `python -m metal.lab.bench sweep` is only that part."""

import sys

from metal.lab.bench import (
    addresses,
    balancing,
    forming,
    ipmi,
    looks,
    measures,
    network,
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
    "balancing": balancing.balancing,
    "repairing": repairing.repairing,
    "ipmi": ipmi.ipmi,
    "sweep": sweep.sweep,
    "forming": forming.forming,
    "looks": looks.looks,
    "watching": watching.watching,
    "calm": watching.calm,
    "sending": sending.sending,
}

if __name__ == "__main__":
    for name in sys.argv[1:] or PARTS:
        PARTS[name]()
