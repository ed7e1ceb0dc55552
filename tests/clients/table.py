"""The optimizers that drive every client: a row for each."""

from dataclasses import dataclass, field
from typing import Any

from optimizers import CG, COBYLA, LBFGSB, NELDER_MEAD, POWELL, SLSQP, TNC, Optimizer


@dataclass(frozen=True)
class Row:
    """A class, and how it is configured.

    Parameters
    ----------
    cls : type
        The class.
    exact : dict
        Its options where values have no noise.
    noisy : dict
        Its options where they are drawn.
    takes_gradient : bool
        Whether a gradient has effect; where it has none, a warning says so.
    """

    cls: type[Optimizer]
    exact: dict[str, Any] = field(default_factory=dict)
    noisy: dict[str, Any] = field(default_factory=dict)
    takes_gradient: bool = False

    def make(self, **settings: Any) -> Optimizer:
        """Return one for values without noise."""
        return self.cls(**{**self.exact, **settings})

    def make_noisy(self, **settings: Any) -> Optimizer:
        """Return one for values with noise."""
        return self.cls(**{**self.noisy, **settings})


_BY_DIFFERENCES: dict[str, Any] = {"noisy": {"eps": 0.1}, "takes_gradient": True}

ROWS = {
    row.cls.__name__: row
    for row in (
        Row(CG, **_BY_DIFFERENCES),
        Row(COBYLA),
        Row(LBFGSB, **_BY_DIFFERENCES),
        Row(NELDER_MEAD),
        Row(POWELL),
        Row(SLSQP, {"ftol": 1e-9}, **_BY_DIFFERENCES),
        Row(TNC, **_BY_DIFFERENCES),
    )
}
