"""Write an image that boots as a disc and as a stick, by legacy BIOS and by UEFI.

GRUB loads the kernel and the initrd into memory; whoever booted needs the medium no more. With
Debian's signed GRUB and shim installed here the image boots under Secure Boot, too.
Engines: grub-mkimage, mtools, xorriso (its options as grub-mkrescue gives them).
"""

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from metal.drivers.commands import Here, Runner
from metal.model.errors import Failed, Refused

GRUB = Path("/usr/lib/grub")
SIGNED = Path("/usr/lib/grub/x86_64-efi-signed/gcdx64.efi.signed")
SHIM = Path("/usr/lib/shim/shimx64.efi.signed")
PACKAGES = "xorriso mtools grub-common grub-pc-bin grub-efi-amd64-bin"
# To find the medium, and the /boot of an installed system.
FINDING = ("iso9660", "part_msdos", "part_gpt", "fat", "ext2", "mdraid1x", "lvm")
SEARCHING = ("search", "search_fs_file", "search_fs_uuid", "search_label")
# What our grub.cfg and that of an installed Debian use.
WORDS = ("normal", "configfile", "test", "true", "echo", "sleep", "regexp", "loadenv", "probe")
SCREEN = ("serial", "terminal", "all_video", "gfxterm", "font")
STARTING = ("linux", "gzio", "chain", "minicmd", "ls", "cat", "reboot", "halt")
MODULES = (*FINDING, *SEARCHING, *WORDS, *SCREEN, *STARTING)
BIOS_MODULES = ("biosdisk", "ntldr")
ESP_TRACKS = 16
"""Of 64 heads and 32 sectors: 16 MiB for the UEFI part, of which GRUB and shim take some 4."""
SECONDS = 300.0


def write_iso(out: Path, files: Mapping[str, Path | bytes], mark: str) -> None:
    """`out` (mode 0600) holds `files`, name → content; among them "boot/grub/grub.cfg".

    `mark`: the name of an empty file by which GRUB tells this medium from any other in the
    machine. Refused where an engine is missing; Failed where one fails, or the disk is full.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(prefix=".iso-", dir=out.parent) as temp:
            work = Path(temp)
            tree = work / "tree"
            _fill(tree, {**files, f".disk/{mark}": b"", ".disk/info": b"metal\n"})
            _boot_images(work, tree / "boot" / "grub", mark)
            made = work / "made.iso"
            _run("xorriso", *_hybrid(tree, made))
            made.chmod(0o600)
            made.replace(out)
    except OSError as error:
        raise Failed(
            f"the image cannot be written: {error.strerror}", where=str(out), mend="make room"
        ) from error


def _fill(tree: Path, files: Mapping[str, Path | bytes]) -> None:
    for name, content in files.items():
        file = tree / name
        file.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, Path):
            shutil.copyfile(content, file)
        else:
            file.write_bytes(content)


def _boot_images(work: Path, folder: Path, mark: str) -> None:
    """boot/grub/bios.img and boot/grub/efi.img in the tree."""
    early = work / "early.cfg"
    early.write_text(
        f"search --no-floppy --set=root --file /.disk/{mark}\nset prefix=($root)/boot/grub\n"
    )
    _grub(early, "i386-pc-eltorito", folder / "bios.img", (*MODULES, *BIOS_MODULES))
    loaders = work / "EFI" / "BOOT"
    loaders.mkdir(parents=True)
    if SIGNED.is_file() and SHIM.is_file():
        # shim loads grubx64.efi beside it; that one finds its grub.cfg by /.disk/info.
        shutil.copyfile(SHIM, loaders / "BOOTX64.EFI")
        shutil.copyfile(SIGNED, loaders / "grubx64.efi")
    else:
        _grub(early, "x86_64-efi", loaders / "BOOTX64.EFI", MODULES)
    esp = str(folder / "efi.img")
    _run("mformat", "-C", "-t", str(ESP_TRACKS), "-h", "64", "-s", "32", "-i", esp, "::")
    _run("mcopy", "-s", "-i", esp, str(work / "EFI"), "::")


def _grub(early: Path, platform: str, out: Path, modules: tuple[str, ...]) -> None:
    folder = GRUB / platform.removesuffix("-eltorito")
    if not folder.is_dir():
        raise _missing(f"no {folder}")
    where = ("-O", platform, "-d", str(folder), "-p", "/boot/grub")
    _run("grub-mkimage", *where, "-c", str(early), "-o", str(out), *modules)


def _hybrid(tree: Path, out: Path) -> tuple[str, ...]:
    mbr = str(GRUB / "i386-pc" / "boot_hybrid.img")
    names = ("-as", "mkisofs", "-quiet", "-r", "-V", "METAL", "-o", str(out))
    bios = ("-b", "boot/grub/bios.img", "-no-emul-boot", "-boot-load-size", "4")
    patched = ("-boot-info-table", "--grub2-boot-info", "--grub2-mbr", mbr)
    efi = ("--efi-boot", "boot/grub/efi.img", "-efi-boot-part", "--efi-boot-image")
    return (*names, *bios, *patched, *efi, "--protective-msdos-label", str(tree))


def _run(*argv: str, here: Runner | None = None) -> None:
    try:
        done = (here or Here()).run(argv, timeout=SECONDS)
    except Refused as error:
        raise _missing(error.what) from None
    if done.code:
        raise Failed(f"the image cannot be made: {argv[0]}: {done.said}")


def _missing(what: str) -> Refused:
    return Refused(f"the image cannot be made: {what}", mend=f"apt install {PACKAGES}")
