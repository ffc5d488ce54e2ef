"""What the Debian installer understands of its boot script, kernel line and preseed.

The lab's installer acts on these texts as they stand and knows nothing of how they were made.
"""

import re
import shlex
from dataclasses import dataclass
from urllib.parse import urlsplit

ESSENTIAL = (
    "netcfg/get_ipaddress",
    "mirror/country",
    "mirror/suite",
    "passwd/root-password-crypted",
    "passwd/make-user",
    "partman-auto/method",
    "partman-auto/expert_recipe",
    "partman-auto/choose_recipe",
    "partman-auto-crypto/erase_disks",
    "partman-crypto/passphrase",
    "partman-crypto/passphrase-again",
    "partman-crypto/weak_passphrase",
    "partman-lvm/confirm",
    "partman-lvm/confirm_nooverwrite",
    "partman/choose_partition",
    "partman/confirm",
    "partman/confirm_nooverwrite",
    "partman/early_command",
    "pkgsel/run_tasksel",
    "preseed/early_command",
    "preseed/late_command",
    "finish-install/reboot_in_progress",
)
"""Unattended, the installer stops at a prompt for each of these that is not answered."""
TYPES = frozenset(
    {"string", "boolean", "select", "multiselect", "password", "note", "seen", "text"}
)


@dataclass(frozen=True)
class Reporter:
    """What the script of preseed/metal-up.sh.j2 tells with: it was printed into the system."""

    url: str
    key: str
    """Both keys of its proofs, inner and outer."""


class Prompt(Exception):
    """The installer stops here and waits for a person who is not there."""


@dataclass(frozen=True)
class Script:
    """An iPXE script that boots a kernel; `kernel` is None where it boots the disk."""

    kernel: str | None = None
    arguments: tuple[str, ...] = ()
    initrd: str | None = None

    def argument(self, *names: str) -> str | None:
        """The value of the first kernel argument that has one of the names."""
        pairs = (a.partition("=") for a in self.arguments)
        return next((value for name, eq, value in pairs if eq and name in names), None)


def parse_script(text: str) -> Script:
    """What iPXE does with a script. ValueError where it would stop with an error."""
    lines = text.splitlines()
    if not lines or lines[0].strip() != "#!ipxe":
        raise ValueError("no iPXE script: it does not begin with #!ipxe")
    kernel: str | None = None
    initrd: str | None = None
    arguments: tuple[str, ...] = ()
    for line in lines[1:]:
        words = [] if line.lstrip().startswith("#") else line.split()
        match words[:1]:
            case []:
                continue
            case ["kernel"]:
                kernel, arguments = words[1], tuple(words[2:])
            case ["initrd"]:
                initrd = words[-1]
            case ["boot"]:
                if kernel is None:
                    raise ValueError("boot without a kernel")
                return Script(kernel, arguments, initrd)
            case ["sanboot" | "exit"]:
                return Script()
            case ["echo" | "set" | "isset" | "sleep"]:
                continue
            case _:
                raise ValueError(f"unknown command {words[0]!r}")
    return Script()


def parse_preseed(text: str) -> dict[str, str]:
    """Question → value of the owner d-i, as debconf-set-selections(1) reads the file.

    Comment lines go first, also between continued ones; a continued line loses its backslash and
    its indentation.
    """
    answers: dict[str, str] = {}
    line = ""
    for raw in text.splitlines():
        if raw.startswith("#") or not raw.strip():
            continue
        part = raw.strip()
        if part.endswith("\\"):
            line = f"{line} {part[:-1].rstrip()}".strip()
            continue
        words = f"{line} {part}".strip().split(None, 3)
        line = ""
        if len(words) < 3 or words[2] not in TYPES:
            raise Prompt(f"the preseed cannot be parsed at {raw[:60]!r}")
        if words[0] == "d-i" and words[2] != "seen":
            answers[words[1]] = words[3] if len(words) > 3 else ""
    missing = [question for question in ESSENTIAL if question not in answers]
    if missing:
        raise Prompt(f"unanswered: {', '.join(missing)}")
    return answers


def report_urls(command: str) -> dict[str, str]:
    """Phase → URL of every report that a command of the preseed posts with wget or curl."""
    urls: dict[str, str] = {}
    for call in re.findall(r"\b(?:wget|curl)\b[^;|&]*", command):
        posts = "--post-data" in call or "--data" in call
        for url in re.findall(r"https?://[^\s'\";]+", call) if posts else ():
            urls[urlsplit(url).path.rsplit("/", 1)[-1]] = url
    return urls


def wanted_disks(early_command: str) -> list[tuple[str, str]]:
    """(name, serial number) of each disk that partman's early command chooses."""
    if "debconf-set partman-auto/disk" not in early_command:
        raise Prompt("no disk is chosen: partman would ask which")
    word = r"('[^']*'|[^;\s]*)"
    found = re.findall(rf"\btake {word} {word};", early_command)
    if not found:
        raise Prompt("the early command takes no disk")
    plain = [[" ".join(shlex.split(word)) for word in pair] for pair in found]
    return [(name, serial) for name, serial in plain]


def reporter(late_command: str) -> Reporter:
    """The script that tells how far the system is, as the late command prints it."""
    url = re.search(r"(https?://\S+/report/[A-Za-z0-9_-]+)/\$phase", late_command)
    keys = [re.search(rf"\b{name}=([0-9a-f]{{64}})", late_command) for name in ("inner", "outer")]
    if url is None or not all(keys):
        raise Prompt("nothing would tell that the system is up")
    return Reporter(url[1], "".join(key[1] for key in keys if key))


def root_keys(late_command: str) -> tuple[str, ...]:
    """The public keys that the late command lets in as root."""
    found = re.search(r"printf '%s\\n' ([^;>]*)>/target/root/.ssh/authorized_keys", late_command)
    return tuple(shlex.split(found[1])) if found else ()


def echoed(late_command: str, file: str) -> str:
    """The lines that the late command writes into /etc/FILE with echo."""
    lines = re.findall(rf"echo '([^']*)' >+/target/etc/{re.escape(file)}", late_command)
    return "".join(f"{line}\n" for line in lines)


def trusted(late_command: str) -> str:
    """The PEM of whom the installed system's reports trust; "" where they go by plain HTTP."""
    found = re.search(r"printf '%s\\n' ([^;>]*)>/target/usr/local/share/metal/ca.pem", late_command)
    return "".join(f"{line}\n" for line in shlex.split(found[1])) if found else ""


def touched(late_command: str) -> str:
    """The file that the late command leaves in /boot; "" for none."""
    found = re.search(r"touch /target/boot/([^;\s]+)", late_command)
    return found[1] if found else ""
