"""One logged-in Redfish session: its resources, read, listed and changed.

http.client below (metal.drivers.wire) and not pyghmi.redfish: that one waits 60 s, logs in again by
itself (a wrong password must be tried once, or the BMC locks the account) and hides ETags and
links, where most quirks sit. Quirk numbers (R…) are those of docs/bmc-quirks.md.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from metal.drivers.redfish_answer import BIGGEST, Answer, Body, link, pointed
from metal.drivers.redfish_asking import BUSY, Busy
from metal.drivers.redfish_budget import Budget
from metal.drivers.redfish_login import MUST_CHANGE, ROOT, RedfishLogin, account_to_change
from metal.drivers.redfish_shape import items, objects, section
from metal.model.errors import Failed, Refused, Unreachable

__all__ = ["BIGGEST", "ROOT", "Answer", "Body", "Busy", "Missing", "RedfishSession", "link"]

PAGES = 50
MEMBERS = 1000
"""Of a collection. No machine has as many parts; each of them costs a request."""
WHOLE_ROOT = {"Systems", "Chassis", "Managers"}
CALLS, CALLS_PLAINLY = 25, 50
"""Of one look, roughly: with and without the members of collections in them."""
IN_POST = ("UnableToModifyDuringSystemPOST", "during POST", "during system POST")


class Missing(Failed):
    """There is no such resource: a link that dangles."""


class Denied(Failed):
    """A Redfish service says that this is not for who is not logged in, or not for this account."""


class RedfishSession(RedfishLogin):
    """Log in with `login`, then get/patch/post. Not for several threads at once."""

    def seen_root(self) -> Body:
        """The service root as everybody may read it."""
        self.root = self.get(ROOT)
        self.expect(1)
        return self.root

    def service_root(self) -> Body:
        """As it was read before the log-in, or as a user sees it where that was not all (R54)."""
        if not self.root.keys() >= WHOLE_ROOT:
            self.root = self.get(ROOT)
        return self.root

    def expect(self, servers: int) -> None:
        """So many are behind the BMC, and each of them will be looked at."""
        expands = expansion(self.root) is not None
        self._wire.outlook.expected = servers * (CALLS if expands else CALLS_PLAINLY)

    def get(self, path: str) -> Body:
        """The resource, or the part of one behind its "#". Failed names path and status when
        there is none."""
        resource, _, pointer = path.partition("#")
        try:
            body = self._resource(resource) if resource else {}
            return pointed(body, pointer) if pointer else body
        except (Missing, LookupError) as error:
            if path in self._in_place:
                return self._remember(path, self._in_place[path])
            if isinstance(error, Missing):
                raise
            raise Missing(f"cannot read {path}: nothing stands there", where=self.where) from error

    def _resource(self, path: str) -> Body:
        if path in self._memory:
            return self._memory[path]
        return self._remember(path, self.fetch(path).body)

    def _remember(self, path: str, body: Body) -> Body:
        if self._remembering and self._budget and self._budget.remembers:
            self._memory[path] = body
        return body

    @contextmanager
    def look(self, *, remember: bool = False) -> Iterator[None]:
        """Within it no more is read than its budget allows. `remember`: everything is asked for
        once, and members of collections with them, where the BMC can do that: half of the calls.
        For where nothing is changed only."""
        self._budget, self._remembering = Budget(), remember
        try:
            yield
        finally:
            self._budget, self._remembering = None, False
            self._memory.clear()

    def path_to(self, value: Any) -> str | None:
        """Where a link leads. Some BMCs write the whole resource in its place: that is kept, for
        where the link leads nowhere, and gets a path if it has none."""
        path = link(value)
        if isinstance(value, dict) and set(value) - {"@odata.id", "href"}:
            path = path or f"#{len(self._in_place)}"
            self._in_place[path] = value
        return path

    def fetch(self, path: str) -> Answer:
        """Like `get`, with status, ETag and headers."""
        if self._budget:
            self._budget.spend(self.where)
        answer = self._authorised("GET", path)
        if self._budget:
            self._budget.received += answer.size
        if answer.status in BUSY:
            raise self._busy(f"too busy to show {path} ({answer.complaint})")
        if answer.status == 403 and answer.names(*MUST_CHANGE):
            self.must_change = account_to_change(answer)
            raise Refused(
                "it shows nothing before the password it was delivered with is changed",
                where=self.where,
                mend="enrol it: that sets a new password first of all",
            )
        whole = answer.status == 500 and "@odata.id" in answer.body  # beside an error (R20)
        if whole:
            self.met("R20")
        if not (answer.ok or whole):
            kind = Missing if answer.status in (404, 410) else Failed
            if answer.status in (401, 403) and answer.of_redfish:
                kind = Denied
            raise kind(
                f"cannot read {path}: {answer.complaint}",
                where=self.where,
                mend="restart the BMC if it stays so; an update of its firmware may help",
            )
        if not answer.body:
            raise Failed(
                f"cannot read {path}: the answer is empty",
                where=self.where,
                mend="restart the BMC if it stays so",
            )
        return answer

    def answers(self) -> bool:
        """Whether the BMC is there at all, after it let something go unanswered."""
        try:
            self._send("GET", ROOT)
        except (Unreachable, Failed):
            return False
        return True

    def members(self, path: str) -> Iterator[str]:
        """Paths of a collection's members; follows pages (R22), ignores counts (R24).

        Failed where they do not end: half a list would pass for a whole one.
        """
        seen: set[str] = set()
        for body in self._collection_pages(path):
            for member in items(body.get("Members")) or items(_older(body).get("Member")):
                target = self.path_to(member)
                if target and (one := target.rstrip("/")) not in seen:
                    if len(seen) >= MEMBERS:
                        what = f"{path} has no end: {MEMBERS} members were read"
                        raise Failed(what, where=self.where)
                    seen.add(one)
                    yield target

    def _collection_pages(self, path: str) -> Iterable[Body]:
        """Within a look with the members in place of their links, where the BMC offers that
        (DSP0266, $expand): they are remembered. Who offers it and fails is asked plainly."""
        query = expansion(self.root) if self._remembering and self._expands else None
        if query is None:
            return self.pages(path)
        try:
            pages = list(self.pages(f"{path}?{query}"))
        except (Failed, Unreachable):
            self._expands = False
            return self.pages(path)
        for member in (m for page in pages for m in objects(page.get("Members"))):
            if (at := link(member)) and {"Id", "error"} & set(member) == {"Id"}:
                self._remember(at, member)
        return pages

    def pages(self, path: str, most: int = PAGES) -> Iterator[Body]:
        """The bodies of a collection, page by page."""
        seen: set[str] = set()
        page: str | None = path
        while page and page not in seen:
            if len(seen) >= most:
                raise Failed(f"{path} has no end: {most} pages were read", where=self.where)
            seen.add(page)
            body = self.get(page)
            yield body
            following = body.get("Members@odata.nextLink") or body.get("@odata.nextLink")
            page = following if isinstance(following, str) else link(following)
            if page:
                self.met("R22")

    def post(self, path: str, body: Body) -> Answer:
        return self._after_post(lambda: self._authorised("POST", path, body))

    def patch(self, path: str, body: Body) -> Answer:
        """With If-Match where the resource has an ETag; a stale one is read anew (R01, R02)."""
        return self._after_post(lambda: self._patch(path, body))

    def patch_blindly(self, path: str, body: Body) -> Answer:
        """Without a look at the resource first, as it may not be shown yet (R49)."""
        answer = self._authorised("PATCH", path, body)
        if answer.status in (412, 428):
            return self._authorised("PATCH", path, body, {"If-Match": "*"})
        return answer

    def _patch(self, path: str, body: Body) -> Answer:
        shown = self.fetch(path)
        tag = shown.etag
        for _ in range(3):
            answer = self._authorised("PATCH", path, body, {"If-Match": tag} if tag else {})
            if answer.ok and shown.tag_was_changed:
                self.met("R03")
            if answer.status not in (412, 428):
                break
            self.met("R02" if answer.status == 412 else "R01")
            shown = self.fetch(path)
            tag = shown.etag or "*"
        return answer

    def _after_post(self, act: Callable[[], Answer]) -> Answer:
        """HPE refuses changes while the server starts: they are made once it has (R09)."""
        deadline, pause = time.monotonic() + self._settle * 5, min(0.05, self._settle)
        while True:
            answer = act()
            if answer.ok or not answer.names(*IN_POST) or time.monotonic() > deadline:
                return answer
            self.met("R09")
            time.sleep(pause)
            pause = min(pause * 2, 10)


def expansion(root: Body) -> str | None:
    """The query for a collection with its members, if the service root offers it."""
    offered = section(section(root.get("ProtocolFeaturesSupported")).get("ExpandQuery"))
    if offered.get("NoLinks") is not True:
        return None
    return "$expand=.($levels=1)" if offered.get("Levels") is True else "$expand=."


def _older(collection: Body) -> Body:
    """Where an iLO 4 keeps the members of what came before Redfish."""
    return section(collection.get("links"))
