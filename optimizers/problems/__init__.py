"""Reference problems with gradients and known minima, and variational eigensolvers."""

from .catalog import all_problems, bounded_problems, get_problem, mgh_problems
from .large import large_problems
from .more_wild import more_wild_problems
from .nist import Fit, nist_fits
from .reference import ReferenceProblem
from .systems import h2, ising
from .vqe import VQE

__all__ = [
    "VQE",
    "Fit",
    "ReferenceProblem",
    "all_problems",
    "bounded_problems",
    "get_problem",
    "h2",
    "ising",
    "large_problems",
    "mgh_problems",
    "more_wild_problems",
    "nist_fits",
]
