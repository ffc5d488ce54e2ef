"""The preseed and the iPXE scripts, rendered from templates. Pure: same input, same bytes.

A workspace's own template wins over the packaged one of the same name.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateError

from metal.drivers.grub import http_device
from metal.install.answers import Answers
from metal.install.derived import marker_of
from metal.install.interfaces import interfaces, place, resolver
from metal.model.errors import BadInput
from metal.model.facts import Loader

SECRET = re.compile(r"[A-Za-z0-9._-]{16,128}")
HASH = re.compile(r"\$2b\$[0-9]{2}\$[A-Za-z0-9./]{53}")
PLAIN = re.compile(r"[^\x00-\x1f\x7f\\]*")
CONSOLE = "console=ttyS0"
"""The installed kernel's arguments: its messages go to the serial port, which BMCs carry."""
BOOT: dict[Loader, str] = {"ipxe": "pxe/boot.ipxe.j2", "grub": "pxe/boot.cfg.j2"}
DISK: dict[Loader, str] = {"ipxe": "pxe/disk.ipxe", "grub": "pxe/disk.cfg"}


class Templates:
    """Templates such as "preseed/base.cfg.j2", looked for in `folders` in their order."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._jinja = Environment(
            loader=FileSystemLoader(folders),
            undefined=StrictUndefined,
            finalize=_refuse_control,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
            autoescape=False,
        )
        self._jinja.filters |= {"quoted": quoted, "printed": printed, "continued": continued}

    def render(self, name: str, **values: Any) -> str:
        """BadInput when the template is missing or asks for what is not there."""
        try:
            return self._jinja.get_template(name).render(**values)
        except TemplateError as error:
            # From None: a chained template error would carry every value, secrets too.
            raise BadInput(
                f"cannot be rendered: {type(error).__name__}: {error.message}",
                where=name,
                mend="mend the workspace's own template, or remove it to get the packaged one",
            ) from None


def render_script(
    templates: Templates, answers: Answers, token: str, loader: Loader = "ipxe"
) -> str:
    """What starts the installer over the network; `token` names the install."""
    values = _values(answers) | {"token": checked_secret(token), "console": CONSOLE}
    return templates.render(BOOT[loader], **values, http=http_device(answers.boot_url))


def render_asking(templates: Templates, boot_url: str) -> str:
    """What a signed GRUB reads first: whom to ask."""
    return templates.render("pxe/network.cfg.j2", http=http_device(boot_url))


def render_grub(templates: Templates, answers: Answers, token: str) -> str:
    """grub.cfg of the medium that brings the installer; `token` names the install."""
    values = _values(answers) | {"token": checked_secret(token), "marker": marker_of(token)}
    return templates.render("pxe/media.cfg.j2", **values, console=CONSOLE)


def render_fetch(templates: Templates, answers: Answers) -> str:
    """What the installer on the medium fetches https:// URLs with."""
    return templates.render("pxe/fetch-https.sh.j2", **_values(answers))


def render_network(templates: Templates, answers: Answers) -> str:
    """What chooses the card, and makes the VLAN, before the installer on the medium looks for a
    network."""
    return templates.render("pxe/installer-network.sh.j2", **_values(answers))


def render_disk_script(templates: Templates, loader: Loader = "ipxe") -> str:
    """What boots what is on the disk."""
    return templates.render(DISK[loader])


def render_preseed(
    templates: Templates,
    answers: Answers,
    *,
    passphrase: str,
    root_hash: str,
    token: str,
    report_key: str,
    now: int,
) -> str:
    """The installer's answers. `root_hash`: crypt(5) hash of the root password, bcrypt.

    `now`: seconds since the epoch, which the installer takes for the time.
    """
    values = _system(templates, answers, token, report_key)
    return templates.render(
        "preseed/base.cfg.j2",
        **values,
        on_partitioned=_Rendered(templates.render("preseed/partitioned.sh.j2", **values)),
        on_base=_Rendered(templates.render("preseed/base.sh.j2", **values)),
        passphrase=checked_secret(passphrase),
        root_hash=checked_hash(root_hash, answers.server),
        now=now,
    )


def render_late(templates: Templates, answers: Answers, *, token: str, report_key: str) -> str:
    """The late commands as a script of their own, for whoever installs without the installer."""
    values = _system(templates, answers, token, report_key)
    return templates.render("preseed/late.sh.j2", **values)


def _system(templates: Templates, answers: Answers, token: str, report_key: str) -> dict[str, Any]:
    """What the late commands are rendered from."""
    values = _values(answers) | {
        "report": report_url(answers, token),
        "report_key": checked_secret(report_key),
        "marker": marker_of(token) if answers.ca else "",
    }
    return values | {
        "up_script": _Rendered(templates.render("preseed/metal-up.sh.j2", **values)),
        "up_unit": _Rendered(templates.render("preseed/metal-up.service", **values)),
        "esp": _Rendered(templates.render("preseed/esp.sh")),
        "initramfs_network": _Rendered(templates.render("preseed/initramfs-network.sh")),
        "initramfs_network_end": _Rendered(templates.render("preseed/initramfs-network-end.sh")),
    }


def report_url(answers: Answers, token: str) -> str:
    """Where the phases of the install are told; the phase's name follows."""
    return f"{answers.boot_url}/report/{checked_secret(token)}"


def checked_hash(root_hash: str, server: str) -> str:
    if not HASH.fullmatch(root_hash):
        raise BadInput("the root password's hash is no bcrypt hash", where=server)
    return root_hash


def _values(answers: Answers) -> dict[str, Any]:
    values = {name: getattr(answers, name) for name in Answers.model_fields}
    return values | {
        "prefixlen": place(answers).network.prefixlen,
        "interfaces": _Rendered(interfaces(answers).replace("\t", "    ")),
        "resolver": _Rendered(resolver(answers)),
    }


def checked_secret(secret: str) -> str:
    """Secrets are made by metal; one with other characters is not, and is not shown."""
    if not SECRET.fullmatch(secret):
        raise BadInput("a secret is not in the form that metal makes", mend="make it anew")
    return secret


class _Rendered(str):
    """Text that a filter made safe, or that is a template's own: may hold newlines."""


def _refuse_control(value: Any) -> Any:
    """No value that is put into a template may end its line or escape what follows it."""
    if isinstance(value, str) and not isinstance(value, _Rendered) and not PLAIN.fullmatch(value):
        raise BadInput("a value holds a control character or a backslash", where="preseed")
    return value


def quoted(value: str) -> str:
    """`value` as one word of the shell. No backslash: debconf's parser would see it first."""
    return _Rendered("'" + _refuse_control(value).replace("'", "'\"'\"'") + "'")


def printed(lines: str | Sequence[str]) -> str:
    """A command that prints the lines (a text, or a sequence of lines): printf '%s\\n' …"""
    if isinstance(lines, str):
        lines = lines.splitlines()
    return _Rendered("printf '%s\\n' " + " ".join(quoted(line) for line in lines))


def continued(script: str) -> str:
    """A script as the continuation lines of one debconf value: comments and blank lines go."""
    commands = [line.strip() for line in script.splitlines()]
    commands = [line for line in commands if line and not line.startswith("#")]
    return _Rendered("; \\\n".join(f"    {line}" for line in commands))
