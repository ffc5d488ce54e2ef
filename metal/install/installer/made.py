"""Components that no mirror has, made of ordinary packages that it has.

Mirrors lose components: some keep but a part of them, and a point release moves the kernel on
before they follow. What the installer would run lies in ordinary packages too, under the same
signature: `e2fsprogs-udeb` is `e2fsprogs` without its documentation, and the modules of its kernel
are in `linux-image-KERNEL`. What is only ever a component (partman) cannot be made.
"""

import lzma
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from debian.deb822 import Deb822

from metal.drivers.archive.package import Entry, entries, package
from metal.drivers.archive.release import paragraph_of
from metal.install.installer.base import Base
from metal.install.installer.choose import Udeb
from metal.install.installer.lock import Made, Piece

ENDING = "-udeb"
UNUSED = ("usr/share/", "usr/lib/systemd/", "usr/lib/udev/", "etc/cron.d/")
MODULES = {
    "ext2-modules": (),
    "ext3-modules": (),
    "ext4-modules": ("fs/ext4",),
    "fat-modules": ("fs/fat", "fs/nls"),
    "md-modules": ("drivers/md",),
    "crypto-dm-modules": ("drivers/md", "crypto", "arch/x86/crypto"),
    "scsi-core-modules": ("drivers/scsi",),
    "scsi-modules": ("drivers/scsi", "drivers/message", "drivers/block", "drivers/nvme"),
    "ata-modules": ("drivers/ata",),
    "sata-modules": ("drivers/ata",),
}
"""What an install needs of a kernel → where its modules lie."""
MODULE = re.compile(r"(?:usr/)?lib/modules/([^/]+)/kernel/(.+/)?([^/]+)\.ko(?:\.xz)?")
NEEDS = re.compile(rb"\0depends=([^\0]*)\0")


def makeable(
    absent: Iterable[str], known: Mapping[str, Udeb], base: Base, index: bytes
) -> dict[str, Udeb]:
    """Those of `absent` that can be made, and the kernel's modules if nobody has any of its.

    `absent` are names in `known` that no mirror has; `index`: of the ordinary packages.
    """
    made: dict[str, Udeb] = {}
    for udeb in (known[name] for name in absent if name.endswith(ENDING)):
        if of := _sources(udeb.name.removesuffix(ENDING), known, index):
            path = _path(udeb.name, udeb.version)
            made[udeb.name] = udeb._replace(path=path, made_of=of)
    gone = set(absent)
    has_modules = any(_is_of_kernel(udeb, base) for udeb in known.values() if udeb.name not in gone)
    image = paragraph_of(index, f"linux-image-{base.kernel}")
    if image and not has_modules:
        made.update([_modules(base, image)])
    return made


def recipe(udeb: Udeb) -> Made:
    """How it is made."""
    control = {
        "Package": udeb.name,
        "Version": udeb.version,
        "Kernel-Version": udeb.kernel,
        "Architecture": "amd64",
        "Depends": ", ".join(" | ".join(alternatives) for alternatives in udeb.wants),
        "Provides": ", ".join(filter(None, udeb.provides)),
        "Priority": "standard" if udeb.taken else "optional",
        "Section": "debian-installer",
        "Description": "made of an ordinary package",
    }
    return Made(control={k: v for k, v in control.items() if v}, of=udeb.made_of)


def make(made: Made, packages: Path, out: Path) -> None:
    """Write the component to `out`, of its ordinary packages in the folder `packages`."""
    files = {name: entry for source in made.of for name, entry in _files(packages / source.name)}
    out.parent.mkdir(parents=True, exist_ok=True)
    temp = out.with_name(f".{out.name}.tmp")
    temp.write_bytes(package(made.control, dict(sorted(files.items()))))
    temp.replace(out)


def _sources(name: str, known: Mapping[str, Udeb], index: bytes) -> tuple[Piece, ...]:
    """The package `name`, and libraries of the same source that are no component of their own."""
    first = paragraph_of(index, name) or paragraph_of(index, f"{name}t64")
    if first is None:
        return ()
    found = {first["Package"]: first}
    queue = [first]
    while queue:
        for other in _wants(queue.pop()):
            if other in found or other + ENDING in known:
                continue
            paragraph = paragraph_of(index, other)
            if paragraph and _source(paragraph) == _source(first):
                found[other] = paragraph
                queue.append(paragraph)
    return tuple(_piece(paragraph) for _, paragraph in sorted(found.items()))


def _wants(paragraph: Deb822) -> Iterator[str]:
    told = f"{paragraph.get('Depends', '')},{paragraph.get('Pre-Depends', '')}"
    for want in told.split(","):
        if name := want.partition("|")[0].partition("(")[0].strip():
            yield name


def _source(paragraph: Deb822) -> str:
    return str(paragraph.get("Source", paragraph["Package"])).partition(" ")[0]


def _path(name: str, version: str) -> str:
    return f"made/{name}_{version.partition(':')[2] or version}_amd64.udeb"


def _piece(paragraph: Deb822) -> Piece:
    return Piece(
        path=paragraph["Filename"], sha256=paragraph["SHA256"], size=int(paragraph["Size"])
    )


def _is_of_kernel(udeb: Udeb, base: Base) -> bool:
    return udeb.name.endswith(f"-{base.kernel}-di")


def _modules(base: Base, image: Deb822) -> tuple[str, Udeb]:
    name = f"storage-modules-{base.kernel}-di"
    return name, Udeb(
        name=name,
        version=image["Version"],
        path=_path(name, image["Version"]),
        sha256="",
        size=0,
        wants=(),
        provides=tuple(MODULES),
        taken=True,
        made_of=(_piece(image),),
        kernel=base.kernel,
    )


def _files(file: Path) -> Iterator[tuple[str, Entry]]:
    if file.name.startswith("linux-image-"):
        yield from _storage(dict(entries(file)))
        return
    for name, entry in entries(file):
        if not name.startswith(UNUSED):
            yield name, entry


def _storage(image: Mapping[str, Entry]) -> Iterator[tuple[str, Entry]]:
    """The modules of MODULES and all that they need, which the installer's initrd may have too."""
    named = {_plain(match[3]): name for name in image if (match := MODULE.fullmatch(name))}
    folders = {folder for folders in MODULES.values() for folder in folders}
    wanted = [
        module
        for module, name in named.items()
        if any(folder in _parents(name) for folder in folders)
    ]
    done: set[str] = set()
    while wanted:
        module = wanted.pop()
        if module in done or module not in named:  # built into the kernel
            continue
        done.add(module)
        wanted += _needs(named[module], image[named[module]].content)
    for module in sorted(done):
        # where udebs have them: /lib of the installer is a link
        yield named[module].removeprefix("usr/"), image[named[module]]


def _parents(name: str) -> set[str]:
    """The folders it is in, below kernel/."""
    match = MODULE.fullmatch(name)
    assert match is not None
    return {str(parent) for parent in PurePosixPath(f"{match[2] or ''}x").parents}


def _needs(name: str, content: bytes) -> Sequence[str]:
    plain = lzma.decompress(content) if name.endswith(".xz") else content
    found = NEEDS.search(plain)
    return [_plain(n) for n in found[1].decode().split(",") if n] if found else []


def _plain(module: str) -> str:
    return module.replace("-", "_")
