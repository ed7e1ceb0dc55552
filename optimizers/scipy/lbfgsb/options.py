"""The options of L-BFGS-B."""

from dataclasses import dataclass, fields
from typing import Any, Self

from optimizers.scipy.options import check_option

_WHOLE = ("maxcor", "maxls", "maxiter", "iprint", "speculate")


@dataclass(frozen=True)
class LbfgsbOptions:
    """The options of L-BFGS-B, with SciPy's names and defaults."""

    maxcor: int = 10
    ftol: float = 2.220446049250313e-09
    gtol: float = 1e-5
    maxls: int = 20
    maxiter: int = 15000
    iprint: int = -1
    restart: bool = False
    speculate: int = 1
    values_first: bool = False

    @classmethod
    def checked(cls, **given: Any) -> Self:
        """Return the options that a user gives; None stands for a default."""
        options: dict[str, Any] = {}
        for name, value in given.items():
            if value is not _DEFAULTS.get(name):
                check_option(name, value)
                if value is not None:
                    options[name] = int(value) if name in _WHOLE else value
        return cls(**options)


_DEFAULTS = {option.name: option.default for option in fields(LbfgsbOptions)}
