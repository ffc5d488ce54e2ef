"""A datacenter whose clock stands still until a test moves it, and a plain HTTPS client."""

from __future__ import annotations

import os
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from metal.lab.clock import Clock
from metal.lab.proxmox import Datacenter

PORT = 18007
NET = f"127.78.{os.getpid() % 250}"
NODES = ("n1", "n2", "n3")
DISKS = ["sda", "sdb", "sdc"]


class Hands(Clock):
    """Time passes when a test says so."""

    def __init__(self) -> None:
        super().__init__(1.0)
        self._now = 1000.0
        self._moving = threading.Lock()

    def now(self) -> float:
        return getattr(self, "_now", 0.0)

    def move(self, seconds: float) -> None:
        with self._moving:
            self._now += seconds


class Client:
    """Requests to one node as root, or as whoever holds the headers given."""

    def __init__(self, address: str, password: str) -> None:
        self.base = f"https://{address}:{PORT}/api2/json"
        self.password = password
        self.session = requests.Session()
        self.session.verify = False
        self.session.trust_env = False
        self.headers: dict[str, str] = {}

    def login(self) -> Client:
        given = {"username": "root@pam", "password": self.password}
        found = self.call("POST", "/access/ticket", **given).json()["data"]
        self.headers = {
            "Cookie": f"PVEAuthCookie={found['ticket']}",
            "CSRFPreventionToken": found["CSRFPreventionToken"],
        }
        return self

    def call(self, method: str, path: str, **params: Any) -> requests.Response:
        where = {"params": params} if method == "GET" else {"data": params}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return self.session.request(
                method, self.base + path, headers=self.headers, timeout=10, **where
            )

    def data(self, method: str, path: str, **params: Any) -> Any:
        answer = self.call(method, path, **params)
        assert answer.ok, f"{method} {path}: {answer.status_code} {answer.reason} {answer.text}"
        return answer.json()["data"]


class Site:
    def __init__(self, folder: Path) -> None:
        self.clock = Hands()
        self.dc = Datacenter(self.clock, folder)
        self.certificates = {}
        for number, name in enumerate(NODES, 1):
            handle = self.dc.add_node(
                name,
                f"{NET}.{number}",
                memory_gib=32,
                threads=8,
                disks=DISKS,
                root_password_check=lambda given, name=name: given == f"root-{name}",
                port=PORT,
            )
            self.certificates[name] = handle.fingerprint
            self.dc.power_on(name)

    def client(self, node: str = "n1") -> Client:
        return Client(f"{NET}.{node[1:]}", f"root-{node}").login()

    def task(self, client: Client, upid: str, *, at_most: float = 600, step: float = 1) -> str:
        """The exit status of a task, its time let pass; with a long `step` it is asked seldom."""
        node = upid.split(":")[1]
        for _ in range(int(at_most / step)):
            found = self._status(client, node, upid)
            if found and found["status"] == "stopped":
                return str(found["exitstatus"])
            self.clock.move(step)
        raise AssertionError(f"{upid} did not end")

    def _status(self, client: Client, node: str, upid: str) -> Any:
        """None while the node is silent, as in the middle of a join."""
        answer = client.call("GET", f"/nodes/{node}/tasks/{upid}/status")
        if answer.status_code == 401:
            again = client.call(
                "POST", "/access/ticket", username="root@pam", password=client.password
            )
            if again.ok:
                client.login()
            return None
        return answer.json()["data"]

    def form(self) -> Client:
        client = self.client("n1")
        self.task(client, client.data("POST", "/cluster/config", clustername="test"), step=20)
        self.clock.move(20)
        client = self.client("n1")
        for node in ("n2", "n3"):
            joining = self.client(node)
            upid = joining.data("POST", "/cluster/config/join", **self.into())
            assert self.task(joining, upid, step=20)
            self.clock.move(30)
        assert sorted(n["node"] for n in client.data("GET", "/nodes")) == list(NODES)
        return client

    def into(self) -> dict[str, str]:
        return {
            "hostname": f"{NET}.1",
            "fingerprint": self.certificates["n1"],
            "password": "root-n1",
        }

    def vm(self, client: Client, vmid: int, node: str, *, ha: bool = True, **more: Any) -> None:
        given = {"name": f"vm{vmid}", "memory": "2048", "cores": 1} | more
        upid = client.data("POST", f"/nodes/{node}/qemu", vmid=vmid, **given)
        assert self.task(client, upid) == "OK"
        if ha:
            client.data("POST", "/cluster/ha/resources", sid=f"vm:{vmid}", state="started")
        else:
            upid = client.data("POST", f"/nodes/{node}/qemu/{vmid}/status/start")
            assert self.task(client, upid) == "OK"

    def truth(self, vmid: int) -> dict[str, Any]:
        found: dict[str, Any] = next(vm for vm in self.dc.truth()["vms"] if vm["vmid"] == vmid)
        return found

    def after(self, holds: Any, *, at_most: float = 400) -> float:
        """How many lab seconds pass until `holds()`."""
        begun = self.clock.now()
        while not holds():
            assert self.clock.now() - begun < at_most, self.dc.truth()["events"][-20:]
            self.clock.move(1)
        return self.clock.now() - begun


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    site.dc.judging = True
    site.dc.start()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            for node in NODES:
                site.client(node)
            break
        except requests.ConnectionError:
            continue
    yield site
    site.dc.stop()
    assert not site.dc.misstated, "the double tells what Proxmox would not"


@pytest.fixture
def cluster(site: Site) -> tuple[Site, Client]:
    return site, site.form()
