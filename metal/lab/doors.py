"""The SSH doors of simulated servers: the installed system's, and dropbear's in the initramfs.

A real SSH server (asyncssh) that needs no root: who logs in, and by which host key the server is
known, is decided as on the real thing; what a command does is a double's business.
"""

import asyncio
import shlex
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from metal.drivers.commands import Runner

PATIENCE = 10.0


@dataclass(frozen=True)
class DoorKey:
    """A host key as the installer makes one."""

    private: bytes
    """OpenSSH's format."""
    public: str
    """ "ssh-ed25519 AAAA…"."""


def new_door_key() -> DoorKey:
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(form.Encoding.PEM, form.PrivateFormat.OpenSSH, form.NoEncryption())
    public = key.public_key().public_bytes(form.Encoding.OpenSSH, form.PublicFormat.OpenSSH)
    return DoorKey(private, public.decode())


class Doors:
    """All doors of a lab, on one event loop of their own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="ssh", daemon=True)
        self._open: list[Any] = []

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        for door in self._open:
            self._loop.call_soon_threadsafe(door.close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)

    def open(
        self,
        address: str,
        port: int,
        key: DoorKey,
        authorized: Sequence[str],
        runner: Runner,
        off: threading.Event,
    ) -> None:
        """Answer there until `off` is set: whoever has one of the keys runs what `runner` knows."""
        listening = self._listen(address, port, key, authorized, runner, off)
        door = asyncio.run_coroutine_threadsafe(listening, self._loop).result(PATIENCE)
        self._open.append(door)

        def close() -> None:
            off.wait()
            self._loop.call_soon_threadsafe(door.close)

        threading.Thread(target=close, name=f"door-{address}-{port}", daemon=True).start()

    async def _listen(
        self,
        address: str,
        port: int,
        key: DoorKey,
        authorized: Sequence[str],
        runner: Runner,
        off: threading.Event,
    ) -> Any:
        import asyncssh

        async def serve(process: Any) -> None:
            stdin = await process.stdin.read()
            argv = shlex.split(process.command or "")
            result = await asyncio.to_thread(runner.run, argv, stdin=stdin)
            if off.is_set():  # the power went meanwhile
                process.channel.get_connection().abort()
                return
            process.stdout.write(result.out)
            process.stderr.write(result.err.encode())
            process.exit(result.code)

        return await asyncssh.listen(
            address,
            port,
            server_host_keys=[asyncssh.import_private_key(key.private)],
            authorized_client_keys=asyncssh.import_authorized_keys("\n".join(authorized)),
            process_factory=serve,
            encoding=None,
            reuse_address=True,
        )
