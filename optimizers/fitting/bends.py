"""Steps that follow the curvature of residuals, as far as existing evaluations show it."""

from optimizers._types import Array
from optimizers.fitting.convergence import Plan

#: The maximum length of a bend relative to the step, [1]_ in :class:`LM`.
_LONGEST = 0.75
#: The minimum cosine of successive steps at which the Jacobian's change predicts the next one.
_ALONG = 0.8


def bent_by_trial(plan: Plan, error: Array, least: float) -> Array | None:
    """Return a better step, given the error of the model after a step.

    The error is half the second derivative along the step; geodesic acceleration corrects it. The
    model with that curvature must predict less than ``least``.
    """
    model, step = plan.model, plan.step
    acceleration = model.answer(2.0 * error, plan.damping)
    best, least = None, 0.999 * least
    for t in (1.0, 0.5):
        bent = t * step + 0.5 * t * t * acceleration
        value = model.value(bent, t * t * error)
        if 0.5 * t * model.length(acceleration) <= _LONGEST * model.length(step) and value < least:
            best, least = bent, value
    return best


def bent_by_change(plan: Plan, jacobian: Array, before: Array, last: Array) -> Array | None:
    """Return a better step, given the Jacobian here and before the last step, or None."""
    model, step = plan.model, plan.step
    length, last_length = model.length(step), model.length(last)
    along = float((model.scale * step) @ (model.scale * last))
    if not along > _ALONG * length * last_length > 0.0:
        return None
    part = along / last_length**2
    ahead = 2.0 * step - part * last
    error = 0.5 * part * (jacobian @ ahead - before @ ahead)
    acceleration = model.answer(2.0 * error, plan.damping)
    bent = step + 0.5 * acceleration
    is_short = 0.5 * model.length(acceleration) <= _LONGEST * length
    return bent if is_short and model.value(bent, error) < model.value(step, error) else None
