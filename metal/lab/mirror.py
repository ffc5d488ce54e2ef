"""A Debian mirror as the lab has it: the installer's kernel and initrd, the same bytes always."""

import hashlib
import random
from functools import lru_cache
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

SIZES = {"linux": 1_000_003, "initrd.gz": 3_000_017}
"""Bytes; smaller than the real ones (8 and 40 MB), and no round numbers."""
IMAGES = "/debian/dists/{suite}/main/installer-amd64/current/images"
FOLDER = "netboot/debian-installer/amd64"
SUITES = ("bookworm", "trixie")


def mirror_app() -> Any:
    """The ASGI app; its base URL as an inventory wants it ends in /debian."""
    return Starlette(
        routes=[
            Route(f"{IMAGES}/SHA256SUMS", _sums),
            Route(f"{IMAGES}/{FOLDER}/{{name}}", _file),
        ]
    )


@lru_cache
def content(suite: str, name: str) -> bytes:
    """The bytes of one file of one release: noise, but the same at every start."""
    return random.Random(f"{suite}/{name}").randbytes(SIZES[name])


def _sums(request: Request) -> Response:
    suite = request.path_params["suite"]
    if suite not in SUITES:
        return PlainTextResponse("Not Found", 404)
    lines = (
        f"{hashlib.sha256(content(suite, name)).hexdigest()}  ./{FOLDER}/{name}\n" for name in SIZES
    )
    return PlainTextResponse("".join(lines))


def _file(request: Request) -> Response:
    suite, name = request.path_params["suite"], request.path_params["name"]
    if suite not in SUITES or name not in SIZES:
        return PlainTextResponse("Not Found", 404)
    return Response(content(suite, name), media_type="application/octet-stream")
