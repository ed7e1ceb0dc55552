"""Optimizers for the tests that every class is put through."""

import re
from typing import Any

import numpy as np

from optimizers import Optimizer, available


def shown(value: object) -> str:
    """Return a value as a test's name has it: the same in each process, so without addresses."""
    return re.sub(r" at 0x[0-9a-f]+", "", str(value))


def fidelity(x: Any, y: Any) -> float:
    """Return the overlap of product states of qubits, one a variable, each turned about Y."""
    return float(np.prod(np.cos((np.asarray(x) - np.asarray(y)) / 2) ** 2))


#: Short runs, with steps that suit steep functions; and a seed where random numbers are drawn.
SHORT: dict[str, dict[str, Any]] = {
    "ADAM": {"lr": 0.05, "maxiter": 30, "eps": 1e-7},
    "AMSGRAD": {"lr": 0.05, "maxiter": 30, "eps": 1e-7},
    "BasinHopping": {"niter": 4, "seed": 7},
    "DIRECT": {"len_tol": 1e-3},
    "DifferentialEvolution": {"popsize": 5, "maxiter": 20, "seed": 5},
    "DualAnnealing": {"maxiter": 20, "seed": 7},
    "AQGD": {"eta": 1e-3, "maxiter": 30},
    "CMAES": {"seed": 5},
    "DFOTR": {"seed": 5},
    "GradientDescent": {"learning_rate": 1e-3, "maxiter": 30, "perturbation": 1e-5},
    "GSLS": {"maxiter": 60, "seed": 5},
    "ICANS": {"maxiter": 30, "min_shots": 2},
    "P_BFGS": {"max_processes": 2, "seed": 5},
    "QNG": {"fidelity": fidelity, "learning_rate": 1e-4, "maxiter": 30},
    "QNSPSA": {"fidelity": fidelity, "maxiter": 10, "seed": 7},
    "SPSA": {"maxiter": 10, "seed": 7},
    "UMDA": {"maxiter": 8, "size_gen": 8, "seed": 5},
    "NFT": {"maxiter": 30, "reset_interval": 4},
}


def of_values() -> dict[str, type[Optimizer]]:
    """Return the package's own optimizers of values that need no bounds, by their names."""
    every = {k: c for k, c in available().items() if c.__module__.startswith("optimizers.")}
    others = {**available(residuals="required"), **available(bounds="required")}
    return {name: cls for name, cls in every.items() if name not in others}


def make(cls: type[Optimizer], **settings: Any) -> Optimizer:
    """Return an optimizer of a class."""
    return cls(**{**SHORT.get(cls.__name__, {}), **settings})


def makes_seeded(cls: type[Optimizer]) -> bool:
    """Return whether the class draws random numbers."""
    return "seed" in SHORT.get(cls.__name__, {})
