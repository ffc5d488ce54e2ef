"""A Redfish service without sockets: a tree's answers, for what needs thousands of reads."""

from metal.drivers.redfish_answer import Answer, Body, path_of
from metal.drivers.redfish_session import RedfishSession

TOKEN = {"x-auth-token": "t", "location": "/redfish/v1/SessionService/Sessions/1"}


class OfflineSession(RedfishSession):
    """The driver's own session, but for the wire. What `tree` lacks is 404, what it holds that
    is no object is an answer that is no JSON object."""

    def __init__(self, tree: dict[str, object]) -> None:
        """`tree`: path → body, paths without a slash at their end."""
        super().__init__("198.51.100.1", 443, None, 1, settle=0.01)
        self.tree = tree
        self.asked: list[str] = []
        """Paths that were read, in order."""

    def _send(
        self,
        method: str,
        path: str,
        body: Body | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        if method == "POST" and path.rstrip("/").endswith("/Sessions"):
            return Answer(201, {}, TOKEN)
        if method != "GET":
            return Answer(405, {}, {})
        plain = path_of(path).partition("?")[0].rstrip("/")
        self.asked.append(plain)
        found = self.tree.get(plain)
        if found is None:
            return Answer(404, {}, {})
        return Answer(200, found, {}) if isinstance(found, dict) else Answer(500, {}, {})

    def _delete_session(self, path: str | None, shown: dict[str, str]) -> None:
        """There is none."""
