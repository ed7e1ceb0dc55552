"""Model-based and global search."""

from optimizers.search.dfotr import DFOTR

__all__ = ["DFOTR"]
