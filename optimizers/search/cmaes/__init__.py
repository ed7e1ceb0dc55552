"""CMAES: the evolution strategy of the package ``cma``."""

from optimizers.search.cmaes.cmaes import CMAES

__all__ = ["CMAES"]
