"""Passwords for BMCs: random, as strong as one takes, and another where it refuses what is kept.

What BMCs take is told wrongly, late or not at all (R52), so a refusal is no end: but the next
password is kept only once a log-in has shown that the BMC did not take the one before. One that
says yes and lets nobody in may have cut it (I05): then its beginnings are tried.
"""

import secrets
import string
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from metal.drivers.ports import Bmc
from metal.model.errors import NoEffect, NotTaken
from metal.model.facts import PasswordRules

LENGTH = 16
"""Bytes: more is cut by some BMCs over IPMI, without a word."""
SHORTER = 12
"""What the narrowest BMCs take that do not say so."""
SHORTEST = 8
"""Below that a password is none: the BMC is left as it is."""
BEGINNINGS = (12, 15, 16, 20)
"""Characters that BMCs cut one at: IPMI's fields have 16 or 20, 15 leaves room for a zero byte."""
SIGNS = "-_.+"
"""Signs that hardly any BMC chokes on."""


@dataclass(frozen=True)
class Shape:
    """With a small and a capital letter and a digit, as BMCs' rules want all of them (R52)."""

    length: int
    signs: str = SIGNS
    """One of them, too, where there are any."""

    @property
    def kinds(self) -> tuple[str, ...]:
        kinds = (string.ascii_lowercase, string.ascii_uppercase, string.digits, self.signs)
        return tuple(filter(None, kinds))

    def made(self) -> str:
        while True:
            made = "".join(secrets.choice("".join(self.kinds)) for _ in range(self.length))
            if self.fits(made):
                return made

    def fits(self, password: str) -> bool:
        signs = set(password) <= set("".join(self.kinds))
        every = all(set(kind) & set(password) for kind in self.kinds)
        return len(password) == self.length and signs and every and password[0].isalpha()


def shapes(longest: int | None) -> tuple[Shape, ...]:
    """The best one first; `longest`: what the BMC says that it takes, None if it does not."""
    most = max(SHORTEST, min(LENGTH, longest or LENGTH))
    shorter = min(SHORTER, most)
    return tuple(dict.fromkeys((Shape(most), Shape(shorter), Shape(shorter, signs=""))))


def random_password(longest: int | None = None) -> str:
    """16 characters, fewer if the BMC takes fewer."""
    return shapes(longest)[0].made()


def beginnings(password: str) -> tuple[str, ...]:
    """What a BMC may have made of it without a word, the shortest first."""
    return tuple(password[:length] for length in BEGINNINGS if length < len(password))


def rules_of(bmc: Bmc) -> PasswordRules:
    """As far as it tells them. Unreachable: it could not be asked now, so nothing is to be
    escrowed yet."""
    rules: PasswordRules = getattr(bmc, "password_rules", PasswordRules())
    return rules


def ensure_taken(
    attempt: Callable[[str], None],
    kept: str,
    keep: Callable[[str], None],
    still_opens: Callable[[], bool],
    opens: Callable[[str], bool],
    longest: int | None,
) -> str:
    """What the BMC has taken: `kept`, or where it refuses that one, another that `keep` escrowed.

    `attempt` gives the BMC a password and proves it, else raises NotTaken; `still_opens` logs in
    anew with what opened it before, `opens` with a password. NoEffect: none of any shape was
    taken, and the strongest is the one that is kept. NotTaken: it refused one and may have it
    after all, so that one stays the one that is kept.
    """
    for password in _candidates(kept, longest):
        if password != kept:
            keep(password)
        try:
            attempt(password)
        except NotTaken as error:
            refusal = error
        else:
            return password
        if not still_opens():
            return _cut(password, keep, opens, refusal)
    if password != kept:
        keep(kept)
    raise NoEffect(
        f"{refusal.what}; what opened it before still does, and stays in use",
        where=refusal.where,
        mend="change it in the BMC's web page to see why; newer firmware may help. Then run the "
        "same again",
    ) from refusal


def _cut(
    password: str, keep: Callable[[str], None], opens: Callable[[str], bool], refusal: NotTaken
) -> str:
    """The beginning of `password` that the BMC has in its place; else the refusal is raised."""
    for beginning in beginnings(password):
        if opens(beginning):
            keep(beginning)
            return beginning
    raise refusal


def _candidates(kept: str, longest: int | None) -> Iterator[str]:
    """What is kept, then one of each shape that it is not of."""
    yield kept
    yield from (shape.made() for shape in shapes(longest) if not shape.fits(kept))
