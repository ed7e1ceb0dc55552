"""Model-based and global search."""

from optimizers.search.cmaes import CMAES
from optimizers.search.dfotr import DFOTR
from optimizers.search.imfil import ImFil

__all__ = ["CMAES", "DFOTR", "ImFil"]
