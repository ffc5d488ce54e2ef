"""rPDUOutletControl and rPDUOutletStatus of APC's PowerNet-MIB, for snmpd's pass_persist.

Outlet N's state is in the file N: "on", "off", or "stuck" (on, and takes no order).
"""

import sys
from pathlib import Path

STATUS, CONTROL = ".1.3.6.1.4.1.318.1.1.12.3.5.1.1.4.", ".1.3.6.1.4.1.318.1.1.12.3.3.1.1.4."
ON, OFF = "1", "2"


def outlet(oid: str) -> Path | None:
    for column in (STATUS, CONTROL):
        file = FOLDER / oid.removeprefix(column)
        if oid.startswith(column) and file.name.isdigit() and file.exists():
            return file
    return None


def answer(verb: str) -> str:
    file = outlet(line())
    if verb == "set":
        order = line().split()[-1]
        if file is None:
            return "not-writable"
        if file.read_text() != "stuck":
            file.write_text("on" if order == ON else "off")
        return "DONE"
    if verb != "get" or file is None:
        return "NONE"
    return f"{STATUS}{file.name}\ninteger\n{OFF if file.read_text() == 'off' else ON}"


def line() -> str:
    return sys.stdin.readline().strip()


FOLDER = Path(sys.argv[1])
while verb := line():
    print("PONG" if verb == "PING" else answer(verb), flush=True)
