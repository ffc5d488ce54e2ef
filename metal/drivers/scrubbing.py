"""Secrets out of what a BMC shows, so that a capture can be handed to strangers.

A value goes by its name, by the name of what it stands in, by a name that stands beside it, or
because a text spells it out. When in doubt it goes: a capture may lack a harmless word, never keep
a password. Names are compared in small letters, without the signs between their words.
"""

import re
from typing import Any

SCRUBBED = "SCRUBBED"
SECRET = re.compile(
    r"passw(?:or)?d|passphrase|passcode|(?<!by)pass$|pwd|secret|community|credentials?$|cookie"
    r"|token(?:id|value|string)?s?$|session(?:id|token)$|licen[sc]e(?:string|number|code|data|file|text)?s?$"
    r"|authorizedkey|[a-z0-9]keys?$|keytab|krb|bindcred|certificatestring"
    r"|salt$|hash$|sha1|sha256|md5|(?:^|[a-z])(?:psk|otp)$|^psk|^pin$|pincode|pinnumber"
)
HARMLESS = re.compile(
    r"(?:length|age|days|count|polic(?:y|ies)|rules?|type|mode|state|status|format|encoding"
    r"|algorithms?|expir\w*|changed?|required|supported|enabled|allowablevalues|date|time"
    r"|(?:public|host|hot|sort|message|partition)keys?)$"
)
"""How names end that hold a secret's word and none of its value."""
NAMING = frozenset(
    {"name", "id", "attributename", "displayname", "key", "property", "propertyname", "attribute"}
    | {"setting", "title", "label", "field", "parameter", "variable", "type", "memberid", "n", "k"}
)
"""Keys whose value names the value beside them."""
VALUE = re.compile(r"value|default|current|pending|^(?:v|val|data|text|content|string|setting)$")
STRUCTURE = frozenset({"@odata.id", "@odata.type", "@odata.context", "href", "target"}) | {
    "@odata.nextLink",
    "Members@odata.nextLink",
}
"""Links and types: without them the tree falls apart."""
A_WORD = (
    r"(?:pass(?:word|wd|phrase|code)|pwd|secret|community|token|cookie|psk|pin"
    r"|(?:api|access|auth|authentication|private|licen[sc]e|activation|session|encryption|shared"
    r"|master)[ _-]?key)"
)
SPELT = (
    # scheme://USER:PASSWORD@host, whatever the scheme, and the same without one
    re.compile(
        r"()(?<![\w/])(?:[A-Za-z][\w+.-]{0,20}://[^\s\"'<>]{0,300}"
        r"|[^\s\"'<>:@/]{1,100}:[^\s\"'<>]{1,300})(?=@)"
    ),
    re.compile(
        rf"(\b\w{{0,40}}?{A_WORD}s?(?: (?:string|name|value))?[\"']?\s{{0,9}}"
        r"(?:[=:]|(?:(?:is|was) )?(?:(?:re)?set|changed) to\b|\b(?:is|was|to)\b|(?=[\"']))"
        r"\s{0,9}[\"']?)[^\s\"',;&]+",
        re.IGNORECASE,
    ),
    re.compile(r"(\b(?:basic|bearer|digest)\s+)[\w+/=.~-]{8,}", re.IGNORECASE),
    re.compile(r"()-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*-----|\Z)", re.DOTALL),
    re.compile(r"()\$\w{1,8}\$[^\s$]+\$[^\s\"']+"),  # crypt(3)
)
"""Ways in which texts such as URLs and log messages spell a secret out; group 1 stays. Every
repetition is bounded: a text of 100 000 characters is read once, not once for each of them."""


def scrubbed(value: Any, name: str = "", *, inside: bool = False) -> Any:
    """The same without secrets; keys, shapes, links, truths and empty values stay.

    `name`: what it is called. `inside`: it stands in something that is secret as a whole.
    """
    secret = inside or is_secret(name)
    if isinstance(value, dict):
        named = any(_squeezed(k) in NAMING and is_secret(v) for k, v in value.items())
        return {k: _member(k, v, secret=secret, named=named) for k, v in value.items()}
    if isinstance(value, list):
        pair = len(value) == 2 and is_secret(value[0])  # ["Password", "…"]
        return [scrubbed(v, name, inside=secret or pair) for v in value]
    if isinstance(value, bool) or value in (None, ""):
        return value
    if secret:
        return SCRUBBED
    return unspelt(value) if isinstance(value, str) else value


def _member(key: str, value: Any, *, secret: bool, named: bool) -> Any:
    if key in STRUCTURE and isinstance(value, str) and value.startswith(("/", "#")):
        return value
    beside = named and VALUE.search(_squeezed(key)) is not None
    return scrubbed(value, key, inside=secret or beside)


def is_secret(name: Any) -> bool:
    """Whether what is called so is a secret; what an action or annotation is called never is."""
    if not isinstance(name, str) or name.startswith("#") or "@" in name:
        return False
    plain = _squeezed(name)
    return SECRET.search(plain) is not None and not HARMLESS.search(plain)


def unspelt(text: str) -> str:
    for way in SPELT:
        text = way.sub(rf"\g<1>{SCRUBBED}", text)
    return text


def _squeezed(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
