"""A secret in n shares on paper of which any m give it back: SLIP-39, by shamir-mnemonic.

https://github.com/satoshilabs/slips/blob/master/slip-0039.md: a share is a line of 33 words (for
32 bytes) with a checksum of its own, so a slip of the pen is found share by share.
"""

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

from metal.model.errors import BadInput

MOST = 16
"""Shares, by the standard."""
WORDS = 33
"""In a share of 32 bytes."""


class TooFew(BadInput):
    """The shares are well so far, and more are needed."""


def split(secret: bytes, *, needed: int, shares: int) -> list[str]:
    """`shares` lines of words, any `needed` of which give `secret` back: that was tried."""
    from shamir_mnemonic import generate_mnemonics

    if not 2 <= needed <= shares <= MOST:
        raise BadInput(
            f"{needed} of {shares} shares cannot be",
            mend=f"at least 2 must be needed, no more than there are, and {MOST} at most be made",
        )
    lines: list[str] = generate_mnemonics(1, [(needed, shares)], secret)[0]
    for begin in range(shares):
        some = [lines[(begin + i) % shares] for i in range(needed)]
        if combine(some) != secret:
            raise BadInput("the shares that were made do not give the secret back; none is shown")
    return lines


def combine(lines: Sequence[str]) -> bytes:
    """The secret; BadInput names the share and the word where one is wrong, or how many lack."""
    from shamir_mnemonic import MnemonicError, Share, combine_mnemonics

    shares: dict[tuple[int, int], tuple[int, str, Any]] = {}
    for number, line in enumerate(lines, 1):
        words = line.lower().split()
        _check_words(words, number)
        try:
            share = Share.from_mnemonic(" ".join(words))
        except MnemonicError:
            raise BadInput(
                "its checksum does not hold: a word is wrong, though every one is in the list, "
                "or two changed places",
                where=_share(number),
                mend="compare it with the paper word by word",
            ) from None
        shares.setdefault((share.identifier, share.index), (number, " ".join(words), share))
    _check_set([(number, share) for number, _, share in shares.values()])
    needed = next(iter(shares.values()))[2].member_threshold
    given = [words for _, words, _ in shares.values()]
    if len(given) < needed:
        raise TooFew(
            f"{len(given)} of the {needed} different shares that are needed",
            mend=f"{needed - len(given)} more from whoever keeps them",
        )
    try:
        return bytes(combine_mnemonics(given[:needed]))
    except MnemonicError as error:
        raise BadInput(f"the shares do not fit together: {error}") from None


def _check_words(words: list[str], number: int) -> None:
    from shamir_mnemonic.wordlist import WORDLIST

    for place, word in enumerate(words, 1):
        if word not in WORDLIST:
            near = get_close_matches(word, WORDLIST, n=1, cutoff=0.6)
            raise BadInput(
                f"word {place}, {word!r}, is not in the list of words",
                where=_share(number),
                mend=f"is it `{near[0]}`?" if near else "look at the paper again",
            )
    if len(words) != WORDS:
        raise BadInput(
            f"has {len(words)} words, not {WORDS}", where=_share(number), mend="type all of them"
        )


def _check_set(shares: list[tuple[int, Any]]) -> None:
    """All shares come from one splitting."""
    if not shares:
        raise BadInput("no share was given", mend="one a line")
    first = shares[0]
    for number, share in shares[1:]:
        if share.identifier != first[1].identifier:
            raise BadInput(
                f"is of another set than share {first[0]}: its first two words are others",
                where=_share(number),
                mend="use the papers of one splitting, by their date",
            )


def _share(number: int) -> str:
    return f"share {number}"
