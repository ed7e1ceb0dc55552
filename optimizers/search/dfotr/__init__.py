"""DFOTR: a trust region without derivatives."""

from optimizers.search.dfotr.dfotr import DFOTR

__all__ = ["DFOTR"]
