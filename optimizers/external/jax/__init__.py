"""JAX: functions of pytrees, compiled once."""

from optimizers.external.jax.functional import minimize

__all__ = ["minimize"]
