"""What answers at a node's address and is no Proxmox: told in words, never taken for data."""

import json
from typing import Any

import pytest
import requests

from metal.drivers.proxmox import NodeAccess, Patience, Proxmox
from metal.drivers.proxmox.node import Node
from metal.model.errors import MetalError, Unreachable

TICKET = {"data": {"ticket": "PVE:root@pam:1", "CSRFPreventionToken": "1"}}
PAGE = b"<html>Router login</html>"


@pytest.mark.parametrize(
    "login", [PAGE, b"", b"[1, 2]", b'{"data": null}', b'{"data": {}}', json.dumps(TICKET).encode()]
)
@pytest.mark.parametrize("status", [PAGE, b"", b"[]", b'{"data": null}', b'{"data": [1]}'])
def test_it_is_as_good_as_silent(
    login: bytes, status: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(_node: Any, _method: str, url: str, **_what: Any) -> requests.Response:
        made = requests.Response()
        made.status_code, made._content = 200, login if url.endswith("/ticket") else status
        return made

    monkeypatch.setattr(Node, "_exchange", answer)
    access = {"n1": NodeAccess("127.0.0.1", 8006, "AA")}
    driver = Proxmox(access, password=lambda _n: "secret", patience=Patience(poll=0))
    assert driver.look()[1] == {"n1": "unknown"}
    assert "no Proxmox VE" in driver.silent["n1"]
    with pytest.raises(Unreachable, match="no Proxmox VE"):
        driver.found()


def test_an_error_that_is_no_json_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(_node: Any, _method: str, url: str, **_what: Any) -> requests.Response:
        made = requests.Response()
        made.status_code, made.reason, made._content = 500, "no such thing", b"[1]"
        if url.endswith("/ticket"):
            made.status_code, made._content = 200, json.dumps(TICKET).encode()
        return made

    monkeypatch.setattr(Node, "_exchange", answer)
    node = Node("n1", NodeAccess("127.0.0.1", 8006, "AA"), "root@pam", lambda _n: "secret", (1, 1))
    with pytest.raises(MetalError, match="no such thing"):
        node.get("cluster/status")
