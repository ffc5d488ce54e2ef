"""A cache of packages for the servers of a site: an HTTP proxy for the archives that the inventory
names, and for nothing else.

A package's file (below pool/, or by its hash) never changes, so it is fetched once. An index is
asked for anew each time, and what was fetched before stands in while the archive is away. What is
in them is not looked at: apt compares every byte with Debian's signatures.
"""

import asyncio
import os
import re
import shutil
import threading
import time
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from email.utils import formatdate, parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests

from metal.model.errors import Failed, MetalError, Refused, Unreachable

WORKERS = 16
"""Fetched at the same time, in threads of their own: a slow archive delays no boot script."""
LARGEST = 2 * 1024**3
"""Bytes of one file."""
SPARE = 2 * 1024**3
"""Bytes of the disk that stay free."""
UNUSED = 180 * 24 * 3600.0
"""Seconds after which a file that nobody wanted goes."""
TIMEOUT = (10, 60)
PART = re.compile(r"[A-Za-z0-9_+~:=,@-][A-Za-z0-9._+~:=,@-]*")
UNCHANGING = re.compile(r".*/(pool|by-hash)/.+")


class PackageCache:
    """Answers proxied requests from `folder`."""

    def __init__(self, folder: Path, hosts: Callable[[], Collection[str]]) -> None:
        """`hosts`: whose files are handed out, host or host:port as in the URL."""
        self._folder, self._hosts = folder, hosts
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="packages")
        self._locks: dict[Path, threading.Lock] = {}
        self._lock = threading.Lock()
        forget_unused(folder, time.time() - UNUSED)

    async def answer(
        self, scope: Any, receive: Any, send: Any, count: Callable[[str], None]
    ) -> None:
        """Answer an ASGI request whose path is a whole URL; `count` is told of it before."""
        from starlette.responses import FileResponse, PlainTextResponse

        if scope["method"] not in ("GET", "HEAD") or scope["query_string"]:
            count("proxy_refused")
            await PlainTextResponse("GET a file\n", 405)(scope, receive, send)
            return
        loop = asyncio.get_running_loop()
        try:
            file, said = await loop.run_in_executor(self._pool, self.file, scope["path"])
        except MetalError as error:
            status = {Refused: 403, Unreachable: 503}.get(type(error), 404)
            count("proxy_refused" if status == 403 else "proxy_failed")
            await PlainTextResponse(f"{error.what}\n", status)(scope, receive, send)
            return
        count(said)
        await FileResponse(file, media_type="application/octet-stream")(scope, receive, send)

    def file(self, url: str) -> tuple[Path, str]:
        """The file of that URL, and whether it was "cached" or "fetched".

        Refused for what is none of the archives' files, Unreachable when the archive is and nothing
        was kept, Failed when the archive has no such file.
        """
        kept = self._place(url)
        with self._alone(kept):
            if kept.is_file() and UNCHANGING.fullmatch(url):
                kept.touch()  # it is in use
                return kept, "proxy_cached"
            try:
                return kept, "proxy_fetched" if self._fetch(url, kept) else "proxy_cached"
            except Unreachable:
                if not kept.is_file():
                    raise
                return kept, "proxy_cached"

    def _place(self, url: str) -> Path:
        parts = urlsplit(url)
        names = parts.path.split("/")[1:]
        fit = parts.scheme == "http" and parts.netloc in self._hosts() and not parts.fragment
        if not fit or not names or not all(map(PART.fullmatch, names)) or len(url) > 1000:
            raise Refused("this proxy hands out the inventory's Debian archives only", where=url)
        return self._folder.joinpath(parts.netloc.replace(":", "_"), *names)

    def _alone(self, kept: Path) -> threading.Lock:
        """Twenty installs want the same package: one fetches it."""
        with self._lock:
            if len(self._locks) > 10_000:
                self._locks = {p: lock for p, lock in self._locks.items() if lock.locked()}
            return self._locks.setdefault(kept, threading.Lock())

    def _fetch(self, url: str, kept: Path) -> bool:
        """Bring `kept` up to date; False if it was. Its time is the archive's."""
        asked = {"Accept-Encoding": "identity"}
        if kept.is_file():
            asked["If-Modified-Since"] = formatdate(kept.stat().st_mtime, usegmt=True)
        try:
            with requests.get(url, stream=True, timeout=TIMEOUT, headers=asked) as answer:
                if answer.status_code == 304:
                    return False
                if answer.status_code >= 500:
                    raise Unreachable(f"the archive answers {answer.status_code}", where=url)
                if answer.status_code != 200:
                    raise Failed(f"the archive answers {answer.status_code}", where=url)
                self._keep(answer, kept)
                return True
        except requests.RequestException as error:
            what = f"the archive does not answer: {type(error).__name__}"
            raise Unreachable(what, where=url) from error
        except OSError as error:
            raise Unreachable(f"it could not be kept: {error.strerror}", where=url) from error

    def _keep(self, answer: requests.Response, kept: Path) -> None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        if shutil.disk_usage(kept.parent).free < SPARE:
            raise Unreachable("the cache's disk is full", where=str(kept))
        temp = kept.with_name(f"{kept.name}.part")
        try:
            with temp.open("wb") as out:
                for piece in answer.iter_content(256 * 1024):
                    out.write(piece)
                    if out.tell() > LARGEST:
                        raise Failed(f"it is larger than {LARGEST} bytes", where=answer.url)
            with suppress(
                TypeError, ValueError
            ):  # the archive may name no time, or none that is one
                told = parsedate_to_datetime(answer.headers.get("Last-Modified", ""))
                os.utime(temp, (told.timestamp(), told.timestamp()))
            temp.replace(kept)
        finally:
            temp.unlink(missing_ok=True)


def forget_unused(folder: Path, before: float) -> int:
    """Drop files that nobody wanted since `before` (seconds of the epoch); how many."""
    old = [
        file
        for file in (folder.rglob("*") if folder.is_dir() else ())
        if file.is_file() and max(file.stat().st_mtime, file.stat().st_ctime) < before
    ]
    for file in old:
        file.unlink(missing_ok=True)
    return len(old)
