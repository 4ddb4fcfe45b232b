"""What the ranks of one fit must agree on, and what they say of how they share it.

The images of a step are shared (`objective`, `watch`), on CPUs the planes of the grid too (`sampling`), and
the blocks of the closed form.  Losses and the gradients of contrast and weights are added up in one order, so
that Adam, which every rank runs, keeps their weights equal.  Corrections of the optics, but for the board's,
every rank computes for itself.  What a clock, a signal or the last bits of a processor decide, the first one
says.
"""

from __future__ import annotations

from dataclasses import fields, replace

from fieldrx.backends import get, of, to_host
from fieldrx.backends.operators import Operators
from fieldrx.errors import InputError
from fieldrx.fit.problem import Problem
from fieldrx.fit.state import State
from fieldrx.parallel import Alone, Communicator


def agree_problem(problem: Problem, ranks: Communicator) -> Problem:
    """What the first rank understood of the fit, with the images of each.

    What was chosen by images may differ in its last bits, as may the images: a rank that compiles a kernel
    and one that finds it compiled round differently.

    Parameters
    ----------
    problem : Problem
        As this rank understood it.
    ranks : Communicator

    Raises
    ------
    InputError
        On all ranks, if one has other images than the first.
    """
    if ranks.size == 1:
        return problem
    shapes = ranks.all_of(problem.acquisition.stack.shape)
    other = [rank for rank, shape in enumerate(shapes) if shape != shapes[0]]
    if other:
        raise InputError(
            f"rank {other[0]} has images of shape {shapes[other[0]]}, rank 0 of {shapes[0]}: give all ranks "
            "the same acquisition"
        )
    chosen = {f.name: getattr(problem, f.name) for f in fields(problem) if f.name != "acquisition"}
    return replace(problem, **ranks.agree(chosen))


def planes_shared_by(ranks: Communicator, backend: Operators) -> Communicator:
    """The ranks that share the planes of the grid: all on a CPU, each alone on a GPU.

    A GPU evaluates the field on a whole volume sooner than a network brings the volume to it.
    """
    return ranks if backend is get("cpu") else Alone()


def sharing_notes(problem: Problem, ranks: Communicator, sharing: Communicator) -> list[str]:
    """How the ranks share a fit, and what does not suffice for all of them, in words; none for one rank."""
    if ranks.size == 1:
        return []
    counts = {"images of a step": problem.schedule.images_per_step(len(problem.train))}
    if sharing.size > 1:
        counts["planes"] = problem.grid.shape[0]
    words = f"{ranks.size} ranks share {' and '.join(f'{count} {what}' for what, count in counts.items())}"
    few = [what for what, count in counts.items() if count < ranks.size]
    return [f"{words}; there are too few {' and '.join(few)} for all of them" if few else words]


def agree_weights(state: State, ranks: Communicator) -> None:
    """Let all ranks have the weights of the first, whatever the last bits of their own processors say."""
    if ranks.size == 1:
        return
    state.output_scale, params = ranks.agree((state.output_scale, to_host(state.params)))
    state.params[:] = of(state.params).asarray(params)
