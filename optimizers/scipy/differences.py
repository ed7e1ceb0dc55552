"""The difference schemes that SciPy's options mean."""

from optimizers._types import ArrayLike
from optimizers.gradients.differences import SCHEMES, Differences
from optimizers.gradients.source import GradientSource, Jacobian
from optimizers.options.settings import check_option

_UNUSED = Differences()


def differences_for(
    jac: Jacobian, step: ArrayLike | None, relative: ArrayLike | None
) -> GradientSource:
    """Return the source that SciPy's options mean; with a gradient of the user's own, any.

    Parameters
    ----------
    jac : GradientSource, scheme name or other
        A named scheme takes relative steps, as in SciPy; one of the user's own has its steps.
    step : float or array_like of shape (n,), optional
        ``eps``: the absolute step where no scheme is named.
    relative : float or array_like of shape (n,), optional
        ``finite_diff_rel_step``.
    """
    if jac is True or callable(jac):
        return _UNUSED
    if isinstance(jac, GradientSource):
        return jac
    check_option("eps", step)
    check_option("finite_diff_rel_step", relative)
    if jac in SCHEMES:
        return Differences(jac, relative_step=relative)
    if relative is not None:
        return Differences("2-point", relative_step=relative)
    return Differences("2-point", step=step)
