"""The options of SPSA and its kin: what they may be."""

import copy
from typing import Any

import numpy as np

from optimizers.errors import OptionError
from optimizers.flow import check_range
from optimizers.options.settings import check_number, check_whole
from optimizers.variational.curvature import check_initial_hessian
from optimizers.variational.series import check_series


def own(options: dict[str, Any]) -> dict[str, Any]:
    """Return options of which the user can change none: arrays, lists and dicts are copied."""
    return {
        name: copy.deepcopy(value) if isinstance(value, np.ndarray | list | dict) else value
        for name, value in options.items()
    }


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


def check_spsa(options: dict[str, Any]) -> None:
    """Raise an OptionError if an option of SPSA, or those of them that QNSPSA has, is unusable."""
    check_whole("maxiter", options["maxiter"], 0)
    for name in ("blocking", "trust_region", "second_order"):
        if not isinstance(options.get(name, False), bool | np.bool_):
            raise OptionError(f"{name} is {options[name]!r}, expected True or False.")
    for name in ("learning_rate", "perturbation"):
        if options[name] is not None:
            check_series(name, options[name], options["maxiter"])
    sizes = options["perturbation"]
    if sizes is not None and not callable(sizes) and not np.all(np.asarray(sizes) > 0):
        raise OptionError(f"perturbation is {sizes!r:.200}, expected numbers > 0.")
    if options["allowed_increase"] is not None:
        check_number("allowed_increase", options["allowed_increase"])
    check_whole("last_avg", options.get("last_avg", 1), 1)
    check_whole("hessian_delay", options["hessian_delay"], 0)
    if options["perturbation_dims"] is not None:
        check_whole("perturbation_dims", options["perturbation_dims"], 1)
    if options["regularization"] is not None:
        check_range("regularization", options["regularization"], 0)
    _check_resamplings(options["resamplings"])
    check_initial_hessian(options["initial_hessian"])
    for name in ("lse_solver", "termination_checker"):
        if not (options[name] is None or callable(options[name])):
            raise OptionError(f"{name} is {options[name]!r}, expected a callable or None.")


def _check_resamplings(given: Any) -> None:
    for name, number in given.items() if isinstance(given, dict) else [("", given)]:
        if isinstance(given, dict):
            check_whole("an iteration of resamplings", name, 1)
        check_whole(f"resamplings[{name}]" if isinstance(given, dict) else "resamplings", number, 1)
