"""Qiskit: how many points the objectives of its eigensolvers take, which they do not declare."""

import sys
from typing import Any

#: The group size that Qiskit's eigensolvers set for Qiskit's SPSA if it has none.
_GROUP = 50
#: Those eigensolvers, and their modules in qiskit-algorithms and, before that, in Qiskit.
_PACKAGES = ("qiskit_algorithms", "qiskit.algorithms")
_SOLVERS = ("VQE", "SamplingVQE", "VQD")


def group_of(fun: Any) -> int | None:
    """Return how many points an objective takes at once if it is one of Qiskit's eigensolvers.

    They call these optimizers like any callable. The objective has no mark, and trying it would
    cost a job: only where it was defined identifies it.
    """
    # A caller that passes one of its objectives has imported it.
    packages = [sys.modules.get(name) for name in _PACKAGES]
    solvers = (getattr(package, name, None) for package in packages for name in _SOLVERS)
    homes = {solver.__module__ for solver in solvers if solver is not None}
    return _GROUP if getattr(fun, "__module__", None) in homes else None
