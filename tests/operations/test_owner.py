"""Who is provably gone, asked of real processes."""

import dataclasses
import os
import signal
import subprocess
import sys

import pytest

from metal.operations.owner import Owner, gone, owner_of, this_process

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="nothing is proven without /proc")


@pytest.fixture
def child():
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def test_what_lives_is_not_gone(child) -> None:
    assert not gone(this_process(), this_process())
    assert not gone(owner_of(child.pid), this_process())
    os.kill(child.pid, signal.SIGSTOP)
    assert not gone(owner_of(child.pid), this_process())


def test_a_killed_process_is_gone_before_and_after_it_is_reaped(child) -> None:
    owner = owner_of(child.pid)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # dead, and still a zombie
    assert gone(owner, this_process())
    child.wait()
    assert gone(owner, this_process())


def test_a_number_that_is_used_again_is_another_process(child) -> None:
    before = dataclasses.replace(owner_of(child.pid), start=1)
    assert gone(before, this_process())


@pytest.mark.parametrize("change", [{"boot": "another"}, {"space": "pid:[1]"}])
def test_nothing_is_known_of_other_hosts_and_containers(child, change) -> None:
    owner = dataclasses.replace(owner_of(child.pid), **change)
    child.kill()
    child.wait()
    assert not gone(owner, this_process())


def test_without_proc_nothing_is_proven() -> None:
    blind = Owner("here", "", "", 2**22 + 1, 0)
    assert not gone(blind, blind)


def test_it_is_written_and_read_back() -> None:
    assert Owner.loads(this_process().dumps()) == this_process()


def test_a_fork_is_a_process_of_its_own() -> None:
    """Who a process is is found out once; its child must not take itself for the parent."""
    parent, (back, forth) = this_process(), os.pipe()
    if (pid := os.fork()) == 0:
        os.write(forth, this_process().dumps().encode())
        os._exit(0)
    os.waitpid(pid, 0)
    told = Owner.loads(os.read(back, 4096).decode())
    os.close(back), os.close(forth)
    assert (told.pid, parent.pid) == (pid, os.getpid())
