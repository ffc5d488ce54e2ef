"""Secrets as metal makes them."""

import secrets

ALPHABET = "abcdefghjkmnpqrstuvwx23456789"
"""Told apart on paper, and where they are on most keyboards: somebody may have to type it."""


def new_key() -> str:
    """32 characters, some 155 bits."""
    return "".join(secrets.choice(ALPHABET) for _ in range(32))
