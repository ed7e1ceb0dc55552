"""Model-based and global search."""

from optimizers.search.cmaes import CMAES
from optimizers.search.dfotr import DFOTR
from optimizers.search.imfil import ImFil
from optimizers.search.wave_newton import WaveNewton

__all__ = ["CMAES", "DFOTR", "ImFil", "WaveNewton"]
