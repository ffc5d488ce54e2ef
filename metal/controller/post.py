"""The post of the leading watcher: sought, kept up while this process lives, and left."""

import threading

from metal.model.errors import MetalError
from metal.operations.leading import Term
from metal.operations.owner import Owner
from metal.operations.store import Store

POST = "watch"


class Post:
    """Seeks the post, and keeps it up from a thread while the block lasts."""

    def __init__(self, store: Store, place: str, seconds: float, me: Owner | None = None) -> None:
        """`me`: who seeks it; this process unless told."""
        self._store, self._place, self._seconds, self._me = store, place, seconds, me
        self._monotonic = store.database.clock.monotonic
        self._term: Term | None = None
        self._renewed = 0.0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="post", daemon=True)

    def __enter__(self) -> "Post":
        self.seek()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()
        if self._term:
            self._store.leading.resign(self._term)

    @property
    def term(self) -> Term | None:
        """The term while this watcher leads; None while another does, or nobody can say.

        Whoever could not renew for as long as the lease is has lost it, whatever the database
        will say: by this machine's own steady clock.
        """
        if self._term and self._monotonic() - self._renewed >= self._seconds:
            return None
        return self._term

    def _keep(self) -> None:
        while not self._end.wait(self._seconds / 3):
            self.seek()

    def seek(self) -> None:
        """Take it or renew it, now."""
        asked = self._monotonic()
        try:
            self._term = self._store.leading.seek(POST, self._place, self._seconds, self._me)
            self._renewed = asked
        except MetalError:
            return  # the database is away: what was held runs out by itself
