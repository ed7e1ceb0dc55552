"""The options of SPSA and its kin: what they may be, beyond what one alone tells."""

from typing import Any

import numpy as np

from optimizers.errors import OptionError
from optimizers.options.table import refused, whole
from optimizers.variational.series import check_series


def check_rates(options: dict[str, Any]) -> None:
    """Raise an OptionError if one of learning_rate and perturbation is given without the other.

    Not where options are set: there one may be set after the other.
    """
    for one, other in (
        ("learning_rate", "perturbation"),
        ("perturbation", "learning_rate"),
    ):
        if options[one] is not None and options[other] is None:
            raise OptionError(
                f"{one} is given without {other}: give both, or none to have them calibrated."
            )


def check_sizes(options: dict[str, Any]) -> None:
    """Raise an OptionError if rates or perturbations are fewer than the steps, or not positive."""
    for name in ("learning_rate", "perturbation"):
        if options[name] is not None:
            check_series(name, options[name], options["maxiter"])
    sizes = options["perturbation"]
    if sizes is not None and not callable(sizes) and not np.all(np.asarray(sizes) > 0):
        raise refused("perturbation", sizes, "numbers > 0")


def test_resamplings(name: str, given: Any) -> None:
    """Raise an OptionError if an option is neither a number nor one for some iterations."""
    if not isinstance(given, dict):
        whole(1)(name, given)
        return
    for iteration, count in given.items():
        whole(1)(f"an iteration of {name}", iteration)
        whole(1)(f"{name}[{iteration}]", count)
