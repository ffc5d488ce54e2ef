"""The choice of metal/network/choose.py as a CP-SAT model: small sites only, and only when asked.

A site is some forty wishes: solved in milliseconds. As one model of a whole fleet it never ends.
"""

from collections.abc import Sequence
from itertools import pairwise

from ortools.sat.python import cp_model

from metal.network.choose import FLOWS, Choice, Want
from metal.network.sharing import bits, masks

SECONDS = 5.0
"""Of the solver's own deterministic time: the same input gives the same answer on any machine."""


def choose_exactly(
    wants: Sequence[Want], addresses: int, flows: int = 0, most: int | None = None
) -> Choice | None:
    """As `choose`; None when the solver found nothing in its time.

    At most `most` of the addresses are shared: a smaller model is solved sooner.
    """
    most = addresses if most is None else min(most, addresses)
    model = cp_model.CpModel()
    sharers = [w for w in wants if not w.own]
    mask = masks({w.name: w.ports for w in sharers})
    open_ = [model.new_bool_var(f"shared {n}") for n in range(most)]
    served = {w.name: model.new_bool_var(w.name) for w in wants}
    at = {w.name: [model.new_bool_var(f"{w.name} at {n}") for n in range(most)] for w in sharers}
    for this, following in pairwise(open_):
        model.add_implication(following, this)
    for want in sharers:
        model.add(sum(at[want.name]) == served[want.name])
    for number, used in enumerate(open_):
        for want in sharers:
            model.add_implication(at[want.name][number], used)
        for port in sorted({b for m in mask.values() for b in bits(m)}):
            model.add_at_most_one(at[n][number] for n, m in mask.items() if m >> port & 1)
    model.add(sum(open_) + sum(served[w.name] for w in wants if w.own) <= addresses)
    room = model.new_int_var(0, FLOWS * most, "flows")
    model.add_max_equality(room, [0, FLOWS * sum(open_) - flows])
    model.add(sum(w.flows * served[w.name] for w in sharers) <= room)
    model.maximize(sum(w.weight * served[w.name] for w in wants))
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    solver.parameters.max_deterministic_time = SECONDS
    if solver.solve(model) not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return None
    bins = {
        name: next(n for n, there in enumerate(places) if solver.value(there))
        for name, places in at.items()
        if solver.value(served[name])
    }
    return Choice(
        served=frozenset(n for n, is_ in served.items() if solver.value(is_)),
        bins=bins,
        weight=round(solver.objective_value),
        bound=round(solver.best_objective_bound),
    )
