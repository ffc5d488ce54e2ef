"""Settings of the whole fleet: where its state lives, where its boot service listens."""

import re

from metal.inventory.draft import Draft

_LISTEN = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):(\d{1,5})")
_URL = re.compile(r"https?://[^\s/?#]+(?:/[^\s?#]*)?")


def check_fleet(draft: Draft) -> None:
    for key, such in (("boot_listen", "0.0.0.0:8080"), ("boot_https_listen", "0.0.0.0:8443")):
        listen = draft.written(("fleet", key))
        if isinstance(listen, str) and not _listens(listen):
            what = f"`{key}` is {listen!r}, not host:port"
            draft.at_value(("fleet", key), what, f'say "{such}"')
    state = draft.written(("fleet", "state"))
    if isinstance(state, str) and state != "sqlite" and not state.startswith("postgresql://"):
        # Not repeated: a URL may hold a password.
        what = "`state` is neither sqlite nor a postgresql:// URL"
        mend = '"sqlite", or "postgresql://USER@HOST/DATABASE" for several controllers'
        draft.at_value(("fleet", "state"), what, mend)
    for key in ("mirror", "proxmox_mirror", "boot_url"):
        _url(draft, ("fleet", key))
    _https(draft, ("fleet", "boot_https_url"))
    for name in draft.declared["sites"]:
        _url(draft, ("sites", name, "mirror"))


def _listens(text: str) -> bool:
    match = _LISTEN.fullmatch(text)
    return match is not None and 1 <= int(match[1]) <= 65535


def _url(draft: Draft, path: tuple[str, ...]) -> None:
    url = draft.written(path)
    if isinstance(url, str) and not _URL.fullmatch(url):
        what = f"`{path[-1]}` is {url!r}, not an http:// or https:// URL"
        draft.at_value(path, what, 'such as "http://mirror.example.org/debian"')


def _https(draft: Draft, path: tuple[str, ...]) -> None:
    url = draft.written(path)
    if isinstance(url, str) and not (_URL.fullmatch(url) and url.startswith("https://")):
        what = f"`{path[-1]}` is {url!r}, not an https:// URL"
        draft.at_value(path, what, 'such as "https://192.0.2.10:8443"')
