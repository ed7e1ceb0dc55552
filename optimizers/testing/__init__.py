"""The conformance suite: the contracts of every Optimizer, as checks for any subclass.

A plug-in's test is three lines::

    @pytest.mark.parametrize("check", optimizers.testing.CHECKS, ids=lambda check: check.__name__)
    def test_conformance(check):
        check(MyOptimizer)

A failure says what to do. Checks that do not apply to a class that only overrides
:meth:`optimizers.Optimizer.minimize` are skipped, and say why.
"""

from collections.abc import Callable
from importlib.util import find_spec

if find_spec("pytest") is not None:
    import pytest

    # Before their import, so that failed assertions show what they compare.
    pytest.register_assert_rewrite(
        *(f"{__name__}.{module}" for module in ("declared", "evaluated", "results", "trial"))
    )

from optimizers.testing import declared, evaluated, results
from optimizers.testing.bowl import START, Bowl
from optimizers.testing.declared import (
    check_nothing_in_silence,
    check_settings_round_trip,
    check_support_levels,
    check_unknown_setting,
)
from optimizers.testing.evaluated import (
    check_groups,
    check_journal,
    check_lockstep,
    check_stepper,
    check_structure,
    check_workers,
)
from optimizers.testing.results import (
    check_bounds,
    check_budget,
    check_callback,
    check_counts,
    check_failure,
    check_non_finite,
    check_nothing_shared,
    check_repeatable,
    check_residuals,
    check_threads,
    check_timeout,
    check_value_belongs_to_point,
)
from optimizers.testing.trial import Factory, NotApplicable, run

#: Every check, in the order of :func:`check_optimizer`.
CHECKS: tuple[Callable[[Factory], None], ...] = tuple(
    check
    for module in (declared, results, evaluated)
    for name, check in vars(module).items()
    if name.startswith("check_")
)

__all__ = [
    "CHECKS",
    "START",
    "Bowl",
    "Factory",
    "NotApplicable",
    "check_bounds",
    "check_budget",
    "check_callback",
    "check_counts",
    "check_failure",
    "check_groups",
    "check_journal",
    "check_lockstep",
    "check_non_finite",
    "check_nothing_in_silence",
    "check_nothing_shared",
    "check_optimizer",
    "check_repeatable",
    "check_residuals",
    "check_settings_round_trip",
    "check_stepper",
    "check_structure",
    "check_support_levels",
    "check_threads",
    "check_timeout",
    "check_unknown_setting",
    "check_value_belongs_to_point",
    "check_workers",
    "run",
]


def check_optimizer(make: Factory) -> dict[str, str]:
    """Run every check.

    Parameters
    ----------
    make : type or callable
        The Optimizer subclass, or a function ``make(**settings)`` that passes settings of a run to
        it.

    Returns
    -------
    dict of str to str
        The checks that do not apply to the class, and why.

    Raises
    ------
    AssertionError
        If a contract is broken; the message says what to do.

    Examples
    --------
    >>> from optimizers import LBFGSB
    >>> check_optimizer(LBFGSB)
    {}
    """
    skipped = {}
    for check in CHECKS:
        try:
            check(make)
        except NotApplicable as reason:
            skipped[check.__name__] = str(reason)
    return skipped
