"""Qiskit: how many points the objectives of its eigensolvers take, which these say to nobody."""

import sys
from typing import Any

#: What Qiskit's eigensolvers give Qiskit's SPSA where it has no group of its own.
_GROUP = 50
#: Those that do, and where they are: in a package of their own, or before that in Qiskit's.
_PACKAGES = ("qiskit_algorithms", "qiskit.algorithms")
_SOLVERS = ("VQE", "SamplingVQE", "VQD")


def group_of(fun: Any) -> int | None:
    """Return how many points an objective takes at once if it is one of Qiskit's eigensolvers.

    They call our optimizers as any callable. The objective has no mark, and to try it would cost a
    job: where it was defined is all that tells whose it is.
    """
    # Whoever hands over one of its objectives has imported it.
    packages = [sys.modules.get(name) for name in _PACKAGES]
    solvers = (getattr(package, name, None) for package in packages for name in _SOLVERS)
    homes = {solver.__module__ for solver in solvers if solver is not None}
    return _GROUP if getattr(fun, "__module__", None) in homes else None
