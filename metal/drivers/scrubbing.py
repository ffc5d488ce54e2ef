"""Secrets out of what a BMC shows, so that a capture can be handed to strangers.

A value goes by its name, by the name of what it stands in, by a name that stands beside it, or
because a text spells it out. When in doubt it goes: a capture may lack a harmless word, never keep
a password. Names are compared in small letters, without the signs between their words.
"""

import re
from typing import Any

SCRUBBED = "SCRUBBED"
SECRET = re.compile(
    r"passw(?:or[dt])?|kennwort|wachtwoord|contrase|passe$|passphrase|passcode|(?<!by)pass$|pwd"
    r"|pw$|secret|communit(?:y|ies)|cred(?:ential)?s?$|recoverycode|^auth$|cookie|token(?:id|value|string)?s?$|session(?:id|token)$|bearer$|jwt"
    r"|authorization$|authheader|xauth$|ownerauth$|httpheaders$|^sig$|^(?:xamz)?signature$"
    r"|licen[sc]e(?:string|number|code|data|file|text)?s?$|authorizedkey|accesskey"
    r"|private\w*key|key\w*private|(?:^|[a-z0-9])keys?(?:string|value|data)?$|(?<!p)kg$"
    r"|keytab|krb|bindcred|certificatestring|pkcs12|pfx|p12$"
    r"|salt$|hash$|seed$|sha1|sha256|md5|(?:psk|otp)$|^psk|(?<![ps])pin$|pincode|pinnumber"
)
HARMLESS = re.compile(
    r"^numberof|(?:length|age|days|count|polic(?:y|ies)|rules?|type|mode|state|status|format|encoding"
    r"|algorithms?|expir\w*|changed?|required|supported|enabled|allowable\w+|date|time|weightkg"
    r"|odata\w+|actioninfo|extendedinfo|(?<!private)(?:public|host|hot|sort|message|partition)keys?)$"
)
"""How names end that hold a secret's word and none of its value."""
NAMING = frozenset(
    {"name", "id", "attributename", "displayname", "key", "property", "propertyname", "attribute"}
    | {"setting", "title", "label", "field", "parameter", "variable", "type", "memberid", "n", "k"}
)
"""Keys whose value names the value beside them."""
VALUE = re.compile(r"value|default|current|pending|^(?:v|val|data|text|contents?|string|setting)$")
STRUCTURE = frozenset({"@odata.id", "@odata.type", "@odata.context", "href", "target"}) | {
    "@odata.nextLink",
    "Members@odata.nextLink",
}
"""Links and types: without them the tree falls apart."""
A_WORD = (
    r"\b\w{0,40}?(?:pass(?:wor[dt]|wd|phrase|code)|kennwort|wachtwoord|contrase\w{1,2}|pwd|secret|community|token|cookie|psk|pin"
    r"|(?:api|access|auth|authentication|private|licen[sc]e|activation|session|encryption|shared"
    r"|master)[ _-]?key)s?"
)
IN_ONE_SENTENCE = r"(?:(?!\. )[^\n]){0,80}?"
IT = r"(?P<quote>\\{0,3}[\"'])?)(?(quote)(?:(?!(?P=quote)).){1,2000}|[^\s\"'<>]+)"
"""The secret: up to the quote that ends it, or to a space. It closes the group that stays."""
ITSELF = re.compile(rf"(?P<stays>{IT}")
ASSIGNED = re.compile(
    r"(?P<stays>(?<![\w.@-])(?<!public )(?<!sense )(?P<name>[\w.@-]+)"
    r"(?:[\\\"']{0,4}\s{0,9}[=:]{1,2}>?\s{0,9}|(?:\s[^<>]{0,200})?>))(?=\S)",
    re.IGNORECASE,
)
"""`name: it`, `name=it`, `"name":"it"`, `<name a="b">it`: secret or not by its name."""
SPELT = tuple(
    re.compile(way, re.IGNORECASE)
    for way in (
        # USER:PASSWORD@host, with //, with a scheme, with neither
        r"(?P<stays>)(?<![\w/])(?:(?:[a-z][\w+.-]{0,20}:)?//[^\s\"'<>]{0,300}"
        r"|[^\s\"'<>:@/]{1,100}:[^\s\"'<>]{1,300})(?=@)",
        # the password was changed to it; community string "it"
        rf"(?P<stays>{A_WORD}(?: (?:string|name|value))?[\"']?\s{{0,9}}"
        r"(?:(?:(?:is|was) )?(?:(?:re)?set|changed) to\b|\b(?:is|was|to|lautet)\b(?: now\b)?"
        r"|-+>|%3d|(?<=\s)(?=[\"']))\s{0,9}[=:]?\s{0,9}" + IT,
        # the new password it was accepted: a word that is none of a language
        rf"(?P<stays>{A_WORD}\b(?: for \w{{1,40}} \S{{1,40}})?(?: is)?(?: now)?\s{{1,9}})"
        r"(?=[^\s\d]{0,100}\d)[^\s\"'<>]{4,}",
        # the password of root was changed from it to it
        rf"(?P<stays>{A_WORD}\b{IN_ONE_SENTENCE}\bfrom\s{{1,9}}" + IT + r"(?=\s{1,9}to\s)",
        rf"(?P<stays>{A_WORD}\b{IN_ONE_SENTENCE}\b(?:(?:re)?set|changed|from\s{{1,9}}\S{{1,99}})"
        r"\s{1,9}to\s{1,9}" + IT,
        r"(?P<stays>\br[ow]community6?\s{1,9}" + IT,  # snmpd.conf
        r"(?P<stays>\b(?:basic|bearer|digest)\s{1,9})[^\s\"'<>]{8,}",
        r"(?P<stays>\b(?:authorization|cookie)[\\\"']{0,4}\s{0,9}[=:]\s{0,9}[\\\"']{0,4})[^\n\"']+",
        # what a command was told: ipmitool -U root -P it, curl -u root:it, snmpset -c it
        r"(?P<stays>\b(?:ipmitool|snmp\w{1,9}|curl|wget|sshpass|racadm|ilorest|smbclient)\s{1,9})"
        r"(?=-)[^\n]+",
        r"(?P<stays>)-----BEGIN [A-Z ]*PRIVATE KEY-----(?:.|\n)*?(?:-----END [A-Z ]*-----|\Z)",
        r"(?P<stays>)\$\w{1,8}\$[^\s$]+\$[^\s\"']+",  # crypt(3)
        r"(?P<stays>)(?<![\w-])eyJ[\w-]{5,}\.[\w-]{5,}(?:\.[\w-]*)*",  # JSON web token
    )
)
"""Ways in which texts such as URLs and log messages spell a secret out; `stays` stays. Every
repetition is bounded, or begins where none of its kind goes before: a text of 100 000 characters
is read once, not once for each of them."""


def scrubbed(value: Any, name: str = "", *, inside: bool = False) -> Any:
    """The same without secrets; keys, shapes, links, truths and empty values stay.

    `name`: what it is called. `inside`: it stands in something that is secret as a whole.
    """
    secret = inside or is_secret(name)
    if isinstance(value, dict):
        values = {k for k in value if VALUE.search(_squeezed(k))}
        names = {k for k in value if values and _squeezed(k) in NAMING}
        hidden = values if any(is_secret(value[k]) for k in names) else set()
        return {
            k: _member(k, v, inside=secret or k in hidden, naming=k in names)
            for k, v in value.items()
        }
    if isinstance(value, list):
        choices = HARMLESS.search(_squeezed(name))  # one of them may be "UsbKey"
        named = [not choices and is_secret(v) for v in value]  # ["root", "Password", "…"]
        return [
            scrubbed(v, name, inside=secret or any(named[:place]) or (named[0] and len(value) == 2))
            for place, v in enumerate(value)
        ]
    if isinstance(value, bool) or value in (None, ""):
        return value
    if secret:
        return SCRUBBED
    return unspelt(value) if isinstance(value, str) else value


def _member(key: str, value: Any, *, inside: bool, naming: bool) -> Any:
    """`naming`: it says what the value beside it is, and is no "Key" that opens anything."""
    if key in STRUCTURE and isinstance(value, str) and value.startswith(("/", "#")):
        return value
    return scrubbed(value, "" if naming else key, inside=inside)


def is_secret(name: Any) -> bool:
    """Whether what is called so is a secret; what an action or the tree's own annotation is
    called never is; of a property's (Password@Redfish.Default) either half may say so."""
    if not isinstance(name, str) or name.startswith(("#", "@")) or HARMLESS.search(_squeezed(name)):
        return False
    return any(SECRET.search(_squeezed(half)) for half in name.split("@"))


def unspelt(text: str) -> str:
    """The same without what it spells out."""
    text = _unassigned(text)
    for way in SPELT if "@" in text else SPELT[1:]:
        text = way.sub(rf"\g<stays>{SCRUBBED}", text)
    return text


def _unassigned(text: str) -> str:
    parts, at = [], 0
    for found in ASSIGNED.finditer(text):
        within = found.start() < at  # what went already
        it = None if within or not is_secret(found["name"]) else ITSELF.match(text, found.end())
        if it:
            parts += [text[at : it.end("stays")], SCRUBBED]
            at = it.end()
    return "".join((*parts, text[at:]))


def _squeezed(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
