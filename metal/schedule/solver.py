"""OR-tools CP-SAT behind the search: the extra `solver`, imported when it is needed.

Without it what the search cannot decide stays unknown, and unknown is never safe.
"""

from collections.abc import Sequence
from importlib.util import find_spec

from metal.schedule.packing import Found
from metal.schedule.survival import Guest, Node, Verdict, bundle, waiting

SECONDS = 10.0


def installed() -> bool:
    return find_spec("ortools") is not None


def pack_by_solver(
    guests: Sequence[Guest], nodes: Sequence[Node], seconds: float = SECONDS, *, wait: bool = True
) -> Found:
    """`guests` into what `nodes` have free, exactly; unknown when time is up or it is absent."""
    if not installed() or not nodes:
        return Verdict.UNKNOWN, None
    from ortools.sat.python import cp_model

    every = bundle(guests)
    waits = waiting(every, nodes) if wait else []
    items = [i for i in every if i not in waits]
    model = cp_model.CpModel()
    on = [[model.new_bool_var("") for _ in nodes] for _ in items]
    for row in on:
        model.add_exactly_one(row)
    for j, node in enumerate(nodes):
        model.add(sum(x.memory * on[i][j] for i, x in enumerate(items)) <= max(0, node.free))
        model.add(sum(x.vcpus * on[i][j] for i, x in enumerate(items)) <= node.cpus_free)
        for i, item in enumerate(items):
            if not item.suits(node):
                model.add(on[i][j] == 0)
        for group in {g for x in items for g in x.groups}:
            model.add_at_most_one(on[i][j] for i, x in enumerate(items) if group in x.groups)
    solver = cp_model.CpSolver()
    solver.parameters.max_time_in_seconds = seconds
    solver.parameters.num_workers = 2
    solver.parameters.random_seed = 1
    status = solver.solve(model)
    if status == cp_model.INFEASIBLE:
        return Verdict.NOT, None
    if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return Verdict.UNKNOWN, None
    return Verdict.SURVIVABLE, {
        guest.name: nodes[j].name
        for i, item in enumerate(items)
        for j in range(len(nodes))
        if solver.value(on[i][j])
        for guest in item.guests
    }
