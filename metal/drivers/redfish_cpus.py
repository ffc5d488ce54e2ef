"""Processors and memory as Redfish tells them, module by module or only in sum.

Members are counted; a summary's count may be cores or GPUs (R33), so it only stands where a BMC
lists no members anywhere.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from metal.drivers.placeholders import told
from metal.drivers.redfish_answer import Body
from metal.drivers.redfish_shape import number, positive, section
from metal.drivers.redfish_tree import Tree, place_of
from metal.drivers.redfish_units import module_mib, total_gib
from metal.drivers.redfish_words import holders, name_of, present
from metal.model.facts import Cpu, Dimm

OTHERS = {"gpu", "fpga", "dsp", "npu", "accelerator", "core", "thread", "partition", "oem"}
"""Types of processor that run no operating system."""
ACCELERATOR = re.compile(r"\bgpu\b|nvidia (?!grace)|tesla|instinct|alveo|ascend", re.IGNORECASE)
"""Names of those where their type is not told."""
MOST_SOCKETS = 8
MOST_CORES = 2048
"""Of one processor, threads too: 4294967295 and 65535 mean that it is not known."""
PERSISTENT = ("NVDIMM", "OPTANE", "3DXPOINT")
"""In a MemoryType or MemoryMedia (DSP2046, Memory): storage in a memory's slot."""
CORES = ("TotalCores", "TotalEnabledCores", "MaxCores", "CoreCount")
THREADS = ("TotalThreads", "MaxThreads", "ThreadCount", "LogicalProcessorCount")


def read_cpu(tree: Tree, system: Body) -> Cpu:
    cpus = [p for p in tree.parts(system, "Processors") if _is_cpu(p)]
    summary = section(system.get("ProcessorSummary"))
    if not cpus:
        return _of_summary(system, summary)
    names = [name for p in cpus if (name := _cpu_model(p))]
    return Cpu(
        model=next(iter(names), None) or told(summary.get("Model")),
        sockets=len(cpus),
        cores=_sum(_count(p, CORES) for p in cpus) or _total(summary, "CoreCount"),
        threads=_sum(_count(p, THREADS) for p in cpus) or _total(summary, "LogicalProcessorCount"),
    )


def read_modules(tree: Tree, system: Body) -> tuple[list[tuple[Dimm, int]], list[str]]:
    """Every module of RAM, with its MiB as told; and the slots of those that say who made them,
    but no size."""
    sized: list[tuple[Dimm, int]] = []
    unsized: list[str] = []
    for module in tree.parts(system, "Memory"):
        if not present(module) or _persistent(module):
            continue
        serial, part = told(module.get("SerialNumber")), told(module.get("PartNumber"))
        if mib := module_mib(module):
            gib = round(mib / 1024, 2)
            dimm = Dimm(slot=_slot(module), size_gib=gib, serial=serial, part=part)
            sized.append((dimm, mib))
        elif serial or part:
            unsized.append(_slot(module))
    return sized, unsized


def _persistent(module: Body) -> bool:
    kind = f"{module.get('MemoryType')} {module.get('MemoryMedia')}".upper()
    return any(word in kind for word in PERSISTENT)


def memory_gib(system: Body, modules: Iterable[tuple[Dimm, int]]) -> float | None:
    """The summary's total; 0 is said by machines that are off, and means unknown (R36)."""
    of_modules = sum(mib for _, mib in modules)
    for total in totals(system):
        if told_here := total_gib(total, of_modules):
            return told_here
    return round(of_modules / 1024, 2) or None


def count_told(tree: Tree, system: Body, key: str) -> str | None:
    """The first figure that is told for `key` of Facts, whether or not it can be: a reason."""
    summary = section(system.get("ProcessorSummary"))
    cpus = [p for p in tree.parts(system, "Processors") if _is_cpu(p)]
    told_here: Iterable[Any] = ()
    match key:
        case "memory_gib":
            told_here = totals(system)
        case "cpu.sockets":
            told_here = [summary.get("Count")]
        case "cpu.cores":
            told_here = [*(p.get(k) for p in cpus for k in CORES), summary.get("CoreCount")]
        case "cpu.threads":
            of_all = summary.get("LogicalProcessorCount")
            told_here = [*(p.get(k) for p in cpus for k in THREADS), of_all]
    counts = (number(figure) for figure in told_here)
    return next((f"{count:g}" for count in counts if count is not None), None)


def totals(system: Body) -> Iterator[Any]:
    """As they are told, in any of three places."""
    for key in ("MemorySummary", "Memory"):
        yield section(system.get(key)).get("TotalSystemMemoryGiB")
    yield section(system.get("Memory")).get("TotalSystemMemoryGB")  # iLO 4 before 2.30


def _is_cpu(processor: Body) -> bool:
    kind = str(processor.get("ProcessorType") or "").strip().lower()
    if not kind and ACCELERATOR.search(str(processor.get("Model"))):
        return False
    return kind not in OTHERS and present(processor) and not _stub(processor)


def _stub(processor: Body) -> bool:
    """An entry that says nothing but that it exists: an empty socket on some."""
    says = ("Model", "TotalCores", "TotalThreads", "ProcessorId", "Manufacturer", "Version")
    return not any(processor.get(key) for key in says)


def _of_summary(system: Body, summary: Body) -> Cpu:
    """A count that may be of cores (R33) is taken for sockets only where no members are listed
    anywhere, and more cores or threads than that stand beside it. The name is always taken."""
    older = section(system.get("Processors"))  # iLO 4 before 2.30 tells them in place
    model = told(summary.get("Model")) or told(older.get("ProcessorFamily"))
    sockets = positive(summary.get("Count")) or positive(older.get("Count")) or 0
    cores = _total(summary, "CoreCount")
    threads = _total(summary, "LogicalProcessorCount")
    doubtful = sockets > MOST_SOCKETS or max(cores or 0, threads or 0) <= sockets
    if place_of(system, "Processors") or not sockets or (doubtful and not older.get("Count")):
        return Cpu(model=model)
    return Cpu(model=model, sockets=sockets, cores=cores, threads=threads)


def _cpu_model(cpu: Body) -> str | None:
    """Some tell "Intel Xeon processor" and put the name into the vendor's id (R34); OpenBMC may
    have it as the version alone."""
    real = told(section(cpu.get("ProcessorId")).get("VendorId"))
    model = told(cpu.get("Model"))
    generic = model is None or not any(map(str.isdigit, model))
    for name in (real, told(cpu.get("Version"))) if generic else ():
        if name and any(map(str.isdigit, name)):
            return name
    return model


def _slot(module: Body) -> str:
    label = section(section(module.get("Location")).get("PartLocation")).get("ServiceLabel")
    names = (module.get("DeviceLocator"), module.get("SocketLocator"), label)
    return next((n for n in map(told, names) if n), None) or name_of(module, "Id")


def _count(processor: Body, keys: Iterable[str]) -> int | None:
    told_here = (positive(h.get(key)) for h in holders(processor) for key in keys)
    return next((count for count in told_here if count and count <= MOST_CORES), None)


def _total(summary: Body, key: str) -> int | None:
    count = positive(summary.get(key))
    return count if count and count <= MOST_SOCKETS * MOST_CORES else None


def _sum(counts: Iterable[int | None]) -> int | None:
    """Of all of them, None where one is not known."""
    known = list(counts)
    return sum(n for n in known if n) if known and all(known) else None
