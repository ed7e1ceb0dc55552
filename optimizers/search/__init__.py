"""Model-based and global search."""

from optimizers.search.dfotr import DFOTR
from optimizers.search.imfil import ImFil

__all__ = ["DFOTR", "ImFil"]
