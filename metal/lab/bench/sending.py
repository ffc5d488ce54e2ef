"""The boot service sends one initrd to twenty machines at once, and nginx does, over loopback."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any

CLIENTS, MEGABYTES, ROUNDS = 20, 60, 9
LINE = "/installer/trixie/initrd.gz"
NGINX = """\
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
events {{ worker_connections 256; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    server {{ listen 127.0.0.1:{port}; root {folder}; }}
}}
"""


def sending() -> None:
    """Side by side, in turns: what else the machine does hits both."""
    nginx = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if nginx is None or shutil.which("curl") is None:
        print("\nnginx or curl is not installed: what the boot service sends is not compared")
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = folder / LINE.lstrip("/")
        file.parent.mkdir(parents=True)
        file.write_bytes(os.urandom(MEGABYTES * 10**6))
        folder.chmod(0o755)
        with _nginx(nginx, folder) as theirs, _ours(file) as ours:
            figures = [(_fetch(theirs[1]), _fetch(ours[1])) for _ in range(ROUNDS)]
            peaks = [_peak(process.pid) for process, _ in (theirs, ours)]
    print(f"\n{MEGABYTES} MB to {CLIENTS} clients at once{'':<11} {'MB/s':>8} {'peak MiB':>9}")
    usual = [median(column) for column in zip(*figures, strict=True)]
    for what, speed, peak in zip(("nginx", "the boot service"), usual, peaks, strict=True):
        print(f"{what:<40} {speed:8.0f} {peak:9.0f}")
    print(f"{'ratio':<40} {usual[1] / usual[0]:8.2f}")


def _fetch(port: int) -> float:
    """MB a second, of all of them together."""
    url = f"http://127.0.0.1:{port}{LINE}"
    words = ["curl", "-s", "-f", "-o", "/dev/null", "-w", "%{size_download}", url]
    began = time.monotonic()
    clients = [subprocess.Popen(words, stdout=subprocess.PIPE) for _ in range(CLIENTS)]
    got = sum(int(client.communicate()[0]) for client in clients)
    seconds = time.monotonic() - began
    assert got == CLIENTS * MEGABYTES * 10**6, f"{got} bytes came"
    return got / 10**6 / seconds


def _peak(pid: int) -> float:
    """MiB of memory of its own at most."""
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


@contextmanager
def _nginx(program: str, folder: Path) -> Iterator[tuple["subprocess.Popen[bytes]", int]]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, port=port))
    words = [program, "-p", str(folder), "-c", str(folder / "nginx.conf")]
    process = subprocess.Popen(words, stderr=subprocess.DEVNULL)
    try:
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                assert process.poll() is None, "nginx did not start"
                time.sleep(0.05)
        yield process, port
    finally:
        process.terminate()
        process.wait()


@contextmanager
def _ours(file: Path) -> Iterator[tuple["subprocess.Popen[bytes]", int]]:
    words = [sys.executable, "-m", "metal.lab.bench.sending", str(file)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        yield process, int(process.stdout.readline())
    finally:
        process.terminate()
        process.wait()


def _serve(file: Path) -> None:
    """The service with all that `metal serve` has loaded; a desk that knows one file."""
    import metal.controller.serving  # noqa: F401
    from metal.drivers.netboot import boot_app
    from metal.drivers.web import WebServer

    desk: Any = SimpleNamespace(file=lambda _suite, _name: file)
    server = WebServer(boot_app(desk), "127.0.0.1").start()
    print(server.port, flush=True)
    while server.alive:
        time.sleep(1)


if __name__ == "__main__":
    _serve(Path(sys.argv[1]))
