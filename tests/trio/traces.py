"""What a lab of namespaces may leave on this machine: nothing."""

import os
import subprocess
import time
from pathlib import Path


def assert_gone(mark: str, folder: Path) -> None:
    """Of lab `mark` no namespace, interface or mount, and of `folder` no process and no file."""
    deadline = time.monotonic() + 30
    while left := traces(mark, folder):
        assert time.monotonic() < deadline, left
        time.sleep(0.05)
    assert processes(str(folder)) == []
    assert not folder.exists()


def traces(mark: str, folder: Path) -> list[str]:
    """Namespaces, interfaces and mounts of this machine that are the lab's."""
    spaces = subprocess.run(["ip", "netns"], capture_output=True, text=True).stdout.split()
    links = [link.name for link in Path("/sys/class/net").iterdir()]
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    ours = [w for w in [*spaces, *links] if w.startswith(mark) and not w[len(mark) :][:1].isdigit()]
    return sorted([*ours, *(line for line in mounts if str(folder) in line or f"{mark}-" in line)])


def processes(word: str) -> list[str]:
    """Command lines with `word`, of processes that still live."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if word in line and int(folder.name) != os.getpid():
            found.append(line)
    return found
