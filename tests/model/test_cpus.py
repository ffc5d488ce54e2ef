"""Processors: what a name can give, and what a mixed fleet has in common."""

from itertools import pairwise
from pathlib import Path

import pytest

from metal.model.cpus import (
    FLAGS,
    LEVELS,
    TYPES,
    common,
    generation,
    level_of,
    newest_of,
    offers,
    runs,
)


@pytest.mark.parametrize(
    ("name", "newest"),
    [
        ("Intel(R) Xeon(R) Gold 6354 CPU @ 3.00GHz", "Icelake-Server"),
        ("Intel(R) Xeon(R) Silver 4112 CPU @ 2.60GHz", "Skylake-Server"),
        ("Intel(R) Xeon(R) CPU D-1541 @ 2.10GHz", "Broadwell"),
        ("Intel(R) Xeon(R) CPU E5-2670 v3 @ 2.30GHz", "Haswell"),
        ("Intel(R) Xeon(R) CPU E5-2650L v2 @ 1.70GHz", "IvyBridge"),
        ("Intel(R) Xeon(R) CPU E5-2620 0 @ 2.00GHz", "SandyBridge"),
        ("Intel(R) Xeon(R) CPU           X5650  @ 2.67GHz", "Westmere"),
        ("Intel(R) Xeon(R) CPU           E5520  @ 2.27GHz", "Nehalem"),
        ("Intel(R) Xeon(R) CPU E7- 4870  @ 2.40GHz", None),
        ("Intel(R) Xeon(R) Gold 6240R CPU @ 2.40GHz", "Cascadelake-Server"),
        ("Intel(R) Xeon(R) Gold 6430", "SapphireRapids"),
        ("AMD EPYC 7302P 16-Core Processor", "EPYC-Rome"),
        ("AMD EPYC 7401P 24-Core Processor", "EPYC"),
        ("AMD EPYC 7F72 24-Core Processor", "EPYC-Rome"),
        ("AMD EPYC 7443P 24-Core Processor", "EPYC-Milan"),
        ("AMD EPYC 9354P 32-Core Processor", "EPYC-Genoa"),
        ("AMD Opteron(tm) Processor 6172", "Opteron_G3"),
        ("AMD Opteron(tm) Processor 6380", "Opteron_G5"),
        ("Intel(R) Xeon(R) processor", None),
        ("Intel(R)Xeon(TM)", None),
        (None, None),
    ],
)
def test_what_a_processor_of_this_name_is(name: str | None, newest: str | None) -> None:
    assert generation(name) == newest


def test_newer_ones_offer_all_of_the_older() -> None:
    for level, newest in (("x86-64-v2-AES", "Westmere"), ("x86-64-v3", "Haswell")):
        assert offers(level) is not None
        assert offers(level) <= (offers(newest) or set())  # type: ignore[operator]
    assert "SandyBridge" in (offers("Broadwell") or ())
    assert "Haswell" not in (offers("IvyBridge") or ())
    assert "EPYC" not in (offers("Icelake-Server") or ())
    assert offers("Pentium") is None
    assert all(offers(t) is not None for t in TYPES if t != "host")


def test_what_is_asked_for_needs_proof_what_is_usual_does_not() -> None:
    assert runs(None, None) and not runs("x86-64-v2", None)
    assert not runs(None, offers("Opteron_G3")) and runs("kvm64", offers("Opteron_G3"))
    assert runs("host", None)


@pytest.mark.parametrize(
    ("newests", "shared"),
    [
        (["Haswell", "Broadwell", "IvyBridge"], "IvyBridge"),
        (["Haswell", "EPYC-Rome"], "x86-64-v3"),
        (["SandyBridge", "EPYC"], "x86-64-v2-AES"),
        (["Opteron_G3", "Haswell"], "kvm64"),
        (["Haswell", None], None),
        ([], None),
    ],
)
def test_the_common_type_of_a_mixed_fleet(newests: list[str | None], shared: str | None) -> None:
    assert common(newests) == shared


def test_levels_follow_each_other() -> None:
    for older, newer in pairwise(LEVELS):
        assert (offers(older) or set()) < (offers(newer) or set())  # type: ignore[operator]


def test_libvirts_own_map_agrees() -> None:
    """Where Debian's libvirt-common is installed, its map says which flags each type has."""
    from xml.etree import ElementTree

    folder = Path("/usr/share/libvirt/cpu_map")
    if not folder.is_dir():
        pytest.skip("libvirt-common is not installed: no cpu_map to compare with")
    needed = {
        "x86-64-v2": {"cx16", "lahf_lm", "popcnt", "sse4.1", "sse4.2", "ssse3"},
        "x86-64-v2-AES": {"aes"},
        "x86-64-v3": {"avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe", "xsave"},
        "x86-64-v4": {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"},
    }
    checked = 0
    for newest in (t for t in TYPES if (folder / f"x86_{t}.xml").exists()):
        has = flags(folder, newest, ElementTree)
        for level, wanted in needed.items():
            if level in (offers(newest) or ()):
                # Left out of old definitions, though every such processor has them.
                missing = wanted - has - {"lahf_lm", "abm", "f16c"}
                assert not missing, (newest, level)
                checked += 1
    assert checked > 10


def flags(folder: Path, model: str, parser: object) -> set[str]:
    tree = parser.parse(folder / f"x86_{model}.xml")  # type: ignore[attr-defined]
    found = {str(f.get("name")) for f in tree.iter("feature")}
    for base in tree.iter("model"):
        if base.get("name") not in (None, model):
            found |= flags(folder, str(base.get("name")), parser)
    return found


def flags_of(level: str) -> set[str]:
    return {f for name, adds in FLAGS if LEVELS.index(name) <= LEVELS.index(level) for f in adds}


@pytest.mark.parametrize("level", LEVELS[1:])
def test_a_level_needs_all_of_its_flags(level: str) -> None:
    flags = flags_of(level)
    assert level_of([*flags, "fpu"]) == level
    added = dict(FLAGS)[level]
    for flag in added:
        assert level_of([*(flags - {flag}), "fpu"]) == LEVELS[LEVELS.index(level) - 1]
    assert level_of([]) is None and level_of(["fpu"]) == "kvm64"


@pytest.mark.parametrize(
    ("name", "flags", "newest"),
    [
        ("Intel Xeon E5-2670 v3", "x86-64-v3", "Haswell"),
        ("Intel Xeon E5-2670 v3", "x86-64-v4", "Haswell"),
        ("Intel Xeon E5-2670 v3", "x86-64-v2-AES", "x86-64-v2-AES"),
        ("Intel Xeon E5-2670 v3", None, "Haswell"),
        ("Some CPU", "x86-64-v3", "x86-64-v3"),
        ("Some CPU", None, None),
        (None, None, None),
    ],
)
def test_flags_count_more_than_the_name(
    name: str | None, flags: str | None, newest: str | None
) -> None:
    assert newest_of(name, flags_of(flags) if flags else ()) == newest
