"""A process that performs one operation, for the tests that kill it.

worker.py URL STATE LOG WHAT [WORDS…]; says what it does on stdout, is told to go on through stdin.
Exit codes are those of metal; 9 when its lease was lost.
"""

import os
import resource
import sys
from pathlib import Path

from metal.model.errors import MetalError
from metal.operations.lease import LeaseLost
from metal.operations.run import Run, perform
from metal.operations.store import Store, open_store

url, state, log, what, *words = sys.argv[1:]


def say(line: str) -> None:
    print(line, flush=True)


def act(name: str) -> str:
    """Leave a trace outside the journal, as a real step does."""
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.write(handle, f"{name}\n".encode())
    os.close(handle)
    return f"result of {name}"


def three(run: Run) -> None:
    """The middle one of its steps stands still until it is told to go on."""

    def stand() -> str:
        act("two")
        say("in two")
        sys.stdin.readline()
        return "result of two"

    run.step("one", lambda: act("one"))
    run.step("two", stand)
    run.step("three", lambda: act("three"))


def many(run: Run) -> None:
    """`words[1]` steps, each announced before it acts."""
    for number in range(int(words[1])):
        say(f"step {number}")
        run.step(f"s{number}", lambda n=number: act(f"s{n}"))
        run.progress(number / int(words[1]), f"step {number}")


def fat(run: Run) -> None:
    """Results that fill a disk: from step 3 on, no file may have more than `words[1]` bytes."""
    for number in range(40):
        run.step(f"s{number}", lambda n=number: fill() if n == 3 else "x" * 20_000)


def fill() -> str:
    size = int(words[1])
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    return "x" * 20_000


def main(store: Store) -> int:
    if what == "open":
        say("alembic" if "alembic" in sys.modules else "no alembic")
        return 0
    if what == "crowd":
        for number in range(int(words[1])):
            operation = store.journal.open("k", f"{words[0]}-{number}", [], {})
            perform(store, operation, lambda run: [run.step(f"s{i}", int) for i in range(5)])
        return 0
    if what == "lead":
        term = store.leading.seek("watch", "lisbon", float(words[1]))
        operation = store.journal.open("test", words[0], [words[0]], {}, term=term)
        perform(store, operation, three, term=term)
        return 0
    flow = {"three": three, "many": many, "fat": fat}[what]
    operation = store.journal.open("test", words[0], [words[0]], {})
    say("ready")
    sys.stdin.readline()
    outcome = perform(store, operation, flow)
    say(outcome.error.replace("\n", " ") or outcome.status)
    return outcome.exit_code


try:
    lease = float(os.environ.get("LEASE", "3600"))
    with open_store(url, Path(state), lease_seconds=lease) as opened:
        sys.exit(main(opened))
except LeaseLost:
    say("lost")
    sys.exit(9)
except MetalError as error:
    say(str(error).replace("\n", " "))
    sys.exit(error.exit_code)
