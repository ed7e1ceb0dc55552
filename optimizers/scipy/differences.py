"""The difference schemes that SciPy's options mean."""

from optimizers._types import ArrayLike
from optimizers.gradients.differences import Differences
from optimizers.gradients.source import GradientSource
from optimizers.problem.derivatives import By, Derivatives
from optimizers.scipy.options import check_option

_UNUSED = Differences()


def differences_for(
    derivatives: Derivatives, step: ArrayLike | None, relative: ArrayLike | None
) -> GradientSource:
    """Return the source that SciPy's options mean; with a gradient of the user's own, any."""
    if not isinstance(derivatives, By):
        return _UNUSED
    if derivatives.source is not None:
        return derivatives.source
    check_option("eps", step)
    check_option("finite_diff_rel_step", relative)
    if derivatives.scheme is not None:  # a named one takes relative steps only, as in SciPy
        return Differences(derivatives.scheme, relative_step=relative)
    if relative is not None:
        return Differences("2-point", relative_step=relative)
    return Differences("2-point", step=step)
