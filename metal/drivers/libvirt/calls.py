"""The door to libvirt-python: errors become ours, and no call waits longer than its deadline.

A call to a host that died hangs until its connection is found dead; libvirt does that in an event
loop, which somebody must run. A thread of ours does, once a process.
"""

import threading
from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

from metal.model.errors import Failed, MetalError, Refused, Unreachable

T = TypeVar("T")


@cache
def libvirt() -> Any:
    """The module, its event loop running and its own messages to stderr silenced."""
    try:
        import libvirt as module
    except ImportError:
        raise Refused(
            "libvirt-python is not installed",
            mend="install metal with its extra: pip install 'metal[libvirt]' "
            "(needs libvirt-dev, pkg-config and a C compiler)",
        ) from None
    module.registerErrorHandler(lambda _context, _error: None, None)
    module.virEventRegisterDefaultImpl()
    # Closing talks to the host, and waits for ever when that is dead and the event loop has ended:
    # never because an object happens to go, but where we say so (`Host.forget`), or with us.
    module.virConnect.__del__ = lambda _connection: None
    # A timer that never fires keeps the loop's poll from having nothing to wait for.
    module.virEventAddTimeout(1000, lambda _timer, _opaque: None, None)
    threading.Thread(target=_loop, args=(module,), name="libvirt events", daemon=True).start()
    return module


def _loop(module: Any) -> None:
    while True:
        try:
            module.virEventRunDefaultImpl()
        except module.libvirtError:
            return


def within(seconds: float, act: Callable[[], T], where: str, late: str) -> T:
    """What `act` returns; Unreachable after `seconds`, the call itself being left to its fate."""
    box: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            box.append(act())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        raise told(errors[0], where)
    if not box:
        raise Unreachable(f"{late} within {seconds:g} s", where=where)
    return box[0]


def told(error: Any, where: str) -> BaseException:
    """libvirt's error as ours; any other as it is."""
    module = libvirt()
    if isinstance(error, MetalError) or not isinstance(error, module.libvirtError):
        assert isinstance(error, BaseException)
        return error
    text = str(error.get_error_message() or error).strip()
    gone = {
        module.VIR_ERR_INTERNAL_ERROR,
        module.VIR_ERR_SYSTEM_ERROR,
        module.VIR_ERR_RPC,
        module.VIR_ERR_NO_CONNECT,
        module.VIR_ERR_INVALID_CONN,
    }
    rpc = {module.VIR_FROM_RPC, module.VIR_FROM_REMOTE}
    if error.get_error_code() in gone and error.get_error_domain() in rpc:
        return Unreachable(text, where=where)
    return Failed(text, where=where, mend="its libvirtd's journal tells more")


def busy(error: Any) -> bool:
    """Whether a storage pool says that it is at work for somebody else: that has no code of its
    own."""
    return "asynchronous jobs" in str(error.get_error_message())


def missing(error: Any) -> bool:
    """Whether it says that there is no such domain, pool or volume."""
    module = libvirt()
    return isinstance(error, module.libvirtError) and error.get_error_code() in (
        module.VIR_ERR_NO_DOMAIN,
        module.VIR_ERR_NO_STORAGE_POOL,
        module.VIR_ERR_NO_STORAGE_VOL,
    )
