"""Algorithms for many variables, written on arrays."""

from optimizers.native.projected_newton import ProjectedNewton

__all__ = ["ProjectedNewton"]
