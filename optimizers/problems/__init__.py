"""Reference problems with gradients and known minima, and the variational eigensolver of H2."""

from .catalogue import all_problems, bounded_problems, get_problem, mgh_problems
from .reference import ReferenceProblem
from .vqe import VQE, h2

__all__ = [
    "VQE",
    "ReferenceProblem",
    "all_problems",
    "bounded_problems",
    "get_problem",
    "h2",
    "mgh_problems",
]
