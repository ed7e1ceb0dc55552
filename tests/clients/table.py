"""The optimizers that drive every client: a row for each."""

from dataclasses import dataclass, field
from typing import Any

from optimizers import (
    ADAM,
    AQGD,
    CG,
    COBYLA,
    GSLS,
    ICANS,
    LBFGSB,
    NELDER_MEAD,
    NFT,
    P_BFGS,
    POWELL,
    SLSQP,
    SPSA,
    TNC,
    UMDA,
    GradientDescent,
    NoisyLBFGSB,
    Optimizer,
)

#: The standard deviation of a value drawn by shots here, about.
SIGMA = 0.03


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
        Its options where they are drawn; None if it is not meant for that.
    budget : int
        The points that it needs there.
    accuracy : float
        How near to a ground state's energy it ends where values have no noise.
    takes_gradient : bool
        Whether a gradient has effect; where it has none, a warning says so.
    is_limited : bool
        Whether only a limit ends it, which is no success.
    """

    cls: type[Optimizer]
    exact: dict[str, Any] = field(default_factory=dict)
    noisy: dict[str, Any] | None = field(default_factory=dict)
    budget: int = 120
    accuracy: float = 1e-4
    takes_gradient: bool = False
    is_limited: bool = False

    def make(self, **settings: Any) -> Optimizer:
        """Return one for values without noise."""
        return self.cls(**{**self.exact, **settings})

    def make_noisy(self, **settings: Any) -> Optimizer:
        """Return one for values with noise."""
        return self.cls(**{**(self.noisy or {}), **settings})


_BY_DIFFERENCES: dict[str, Any] = {"noisy": {"eps": 0.1}, "takes_gradient": True}

ROWS = {
    row.cls.__name__: row
    for row in (
        Row(
            ADAM,
            {"lr": 0.1, "maxiter": 300},
            {"lr": 0.1, "eps": 0.1},
            accuracy=1e-3,
            takes_gradient=True,
            is_limited=True,
        ),
        Row(
            AQGD,
            {"eta": 0.5, "maxiter": 300},
            {"eta": 0.5, "maxiter": 100},
            accuracy=1e-3,
            takes_gradient=True,
        ),
        Row(CG, **_BY_DIFFERENCES),
        Row(COBYLA),
        Row(
            GradientDescent,
            {"learning_rate": 0.5, "tol": 1e-2, "maxiter": 300},
            {"learning_rate": 0.5, "perturbation": 0.1},
            accuracy=1e-3,
            takes_gradient=True,
        ),
        Row(GSLS, {"seed": 1}, None),
        Row(ICANS, {"lipschitz": 2.0}, {"lipschitz": 2.0, "min_shots": 2}, budget=1000),
        Row(LBFGSB, **_BY_DIFFERENCES),
        Row(NELDER_MEAD, noisy=None),
        Row(NFT, is_limited=True),
        Row(NoisyLBFGSB, noisy={"noise": SIGMA}, budget=400, takes_gradient=True),
        Row(P_BFGS, {"max_processes": 2}, None, takes_gradient=True),
        Row(POWELL),
        Row(SLSQP, {"ftol": 1e-9}, **_BY_DIFFERENCES),
        Row(
            SPSA,
            {"seed": 1, "maxiter": 300},
            {"seed": 1},
            budget=400,
            accuracy=1e-2,
            is_limited=True,
        ),
        Row(TNC, **_BY_DIFFERENCES),
        Row(UMDA, {"seed": 1}, {"seed": 1}, accuracy=1e-2),
    )
}
NOISY_ROWS = {name: row for name, row in ROWS.items() if row.noisy is not None}
