"""What the live system told, piece by piece → Evidence. Pure: what cannot be read is unknown."""

from collections.abc import Mapping
from math import isfinite
from typing import Any, TypeVar

from pydantic import ValidationError

from metal.model.burnin import (
    BmcSaid,
    CpuTest,
    DiskTest,
    Evidence,
    Fan,
    KernelLog,
    MemoryTest,
    NicTest,
    Temperature,
    Told,
)

T = TypeVar("T", bound=Told)


def gather(
    told: Mapping[str, dict[str, Any]],
    *,
    minutes: float,
    bmc: BmcSaid | None,
    bmc_why: str = "",
    died_in: str | None = None,
    unheard: str | None = None,
    why: str = "",
) -> Evidence:
    """`told`: name → body, as the agent posted them (metal/live/agent/burnin.py).

    `why`: what kept the live system from its end, if anything did.
    """
    unknown = {"bmc": bmc_why} if bmc is None else {}

    def one(part: str, model: type[T]) -> T | None:
        body = told.get(part)
        found = None if body is None or body.get("why") else _read(model, body)
        if found is None:
            unknown[part] = _why(body, why)
        return found

    def all_of(part: str, model: type[T], bodies: Any) -> tuple[T, ...] | None:
        """None, too, where one of them cannot be read: it may be the one that is ill."""
        if not isinstance(bodies, list):
            return None
        read = [_read(model, body) for body in bodies]
        if None in read:
            unknown[part] = "not all that came can be read"
            return None
        return tuple(one for one in read if one)

    if "fans" not in told.get("sensors", {}):
        unknown["sensors"] = _why(told.get("sensors"), why)
    heat = told.get("cpu", {}).get("temperatures") or told.get("sensors", {}).get("temperatures")
    return Evidence(
        minutes=minutes,
        memory=one("memory", MemoryTest),
        cpu=one("cpu", CpuTest),
        disks=_disks(told, unknown, why),
        nics=all_of("nics", NicTest, told.get("nics", {}).get("nics")),
        network_mib_s=_number(told.get("nics", {}).get("network_mib_s")),
        temperatures=all_of("temperatures", Temperature, heat),
        fans=all_of("fans", Fan, told.get("sensors", {}).get("fans")),
        kernel=one("kernel", KernelLog),
        bmc=bmc,
        died_in=died_in,
        unheard=unheard,
        unknown=_with_the_end(unknown, why),
    )


def _with_the_end(unknown: dict[str, str], why: str) -> dict[str, str]:
    """What broke off after its last piece of evidence did not say that this was all."""
    return unknown | ({"the end": why} if why and why not in unknown.values() else {})


def _disks(
    told: Mapping[str, dict[str, Any]], unknown: dict[str, str], why: str
) -> tuple[DiskTest, ...] | None:
    """None unless every disk that was found was told of."""
    count = told.get("disks", {}).get("count")
    bodies = [told[name] for name in sorted(told) if name.startswith("disk-")]
    disks = [_read(DiskTest, body) for body in bodies]
    known = tuple(disk for disk in disks if disk)
    if count is None or len(known) != count:
        unknown["disks"] = _why(None, why) if count is None else "not all were told of"
        return None
    return known


def _read(model: type[T], body: Any) -> T | None:
    try:
        return model.model_validate(body)
    except ValidationError:
        return None


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and isfinite(value) else None


def _why(body: dict[str, Any] | None, why: str) -> str:
    if body is None:
        return why or "no evidence came"
    return str(body.get("why") or "what came cannot be read")
