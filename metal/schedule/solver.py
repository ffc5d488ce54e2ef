"""OR-tools CP-SAT behind the search: the extra `solver`, imported when it is needed.

Without it what the search cannot decide stays unknown, and unknown is never safe.
"""

from collections.abc import Sequence
from importlib.util import find_spec

from metal.schedule.packing import Found
from metal.schedule.survival import Guest, Node, Verdict

SECONDS = 10.0


def installed() -> bool:
    return find_spec("ortools") is not None


def pack_by_solver(
    guests: Sequence[Guest], nodes: Sequence[Node], seconds: float = SECONDS
) -> Found:
    """`guests` into what `nodes` have free, exactly; unknown when time is up or it is absent."""
    if not installed() or not nodes:
        return Verdict.UNKNOWN, None
    from ortools.sat.python import cp_model

    model = cp_model.CpModel()
    on = [[model.new_bool_var("") for _ in nodes] for _ in guests]
    for row in on:
        model.add_exactly_one(row)
    for j, node in enumerate(nodes):
        model.add(sum(g.memory * on[i][j] for i, g in enumerate(guests)) <= max(0, node.free))
        model.add(sum(g.vcpus * on[i][j] for i, g in enumerate(guests)) <= node.cpus_free)
        for group in {g.apart for g in guests if g.apart}:
            mates = [on[i][j] for i, g in enumerate(guests) if g.apart == group]
            model.add(sum(mates) <= (0 if group in node.groups() else 1))
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
        g.name: nodes[j].name
        for i, g in enumerate(guests)
        for j in range(len(nodes))
        if solver.value(on[i][j])
    }
