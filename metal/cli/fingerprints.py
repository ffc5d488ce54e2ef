"""Fingerprints of certificates that a person gives: whole, or none at all."""

import re
from typing import Any

import click

PAIRS = re.compile(r"[0-9A-F]{2}(:[0-9A-F]{2}){31}")


class Sha256(click.types.StringParamType):
    """As every tool shows it: 32 pairs parted by colons, in either case."""

    name = "SHA256"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        given = str(value).strip().upper()
        if not PAIRS.fullmatch(given):
            self.fail(f"{value} is no SHA-256: that is 32 pairs, AA:BB:…", param, ctx)
        return given
