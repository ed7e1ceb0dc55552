"""Reference problems with gradients and known minima, and variational eigensolvers."""

from .catalog import all_problems, bounded_problems, get_problem, mgh_problems
from .reference import ReferenceProblem
from .systems import h2, ising
from .vqe import VQE

__all__ = [
    "VQE",
    "ReferenceProblem",
    "all_problems",
    "bounded_problems",
    "get_problem",
    "h2",
    "ising",
    "mgh_problems",
]
