"""The algorithms of the package ``nlopt``."""

from optimizers.nlopt.optimizer import NLopt

__all__ = ["NLopt"]
