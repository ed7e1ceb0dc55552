"""The line search of Moré and Thuente, with the constants that L-BFGS-B has in SciPy."""

import math
from collections.abc import Generator
from typing import NamedTuple

_DECREASE, _CURVATURE, _NARROW = 1e-3, 0.9, 0.1
#: How far beyond the last step the next one may be while no upper end is known, in units of the
#: distance to the best one.
_NEAREST, _FARTHEST = 1.1, 4.0
#: An interval must shrink to this part in two steps, or it is halved.
_SHRINKAGE = 0.66
#: How much of a step remains that led to where the objective is not finite.
_RETREAT = 0.25


class Trial(NamedTuple):
    """A step along the direction, with the objective and its derivative there."""

    step: float
    value: float
    slope: float

    def tilted(self, by: float) -> "Trial":
        """Return the trial of the function less a multiple of the step."""
        return Trial(self.step, self.value - by * self.step, self.slope - by)


def search(
    start: Trial, first: float, longest: float, count: int
) -> Generator[float, tuple[float, float], bool]:
    """Yield steps to try, and receive value and slope there; return whether the last one is good.

    A step is good that meets the strong Wolfe conditions, and the best one if rounding leaves no
    other.
    """
    enough = _DECREASE * start.slope
    best = other = start
    is_bracketed, is_first_stage = False, True
    width, before = longest, 2.0 * longest
    least, most = 0.0, (1.0 + _FARTHEST) * first
    step = first
    for _ in range(count):
        value, slope = yield step
        trial = Trial(step, value, slope)
        if not (math.isfinite(value) and math.isfinite(slope)):
            longest, step = step, best.step + _RETREAT * (step - best.step)
            most = min(most, longest)
            continue
        is_low = value <= start.value + step * enough
        if is_low and abs(slope) <= -_CURVATURE * start.slope:
            return True
        is_narrow = is_bracketed and _is_narrow(step, least, most)
        if is_narrow or (step == longest and is_low and slope <= enough):
            return value <= start.value
        is_first_stage = is_first_stage and not (is_low and slope >= 0.0)
        # In the first stage, look for a point with enough decrease.
        tilt = enough if is_first_stage and not is_low and value <= best.value else 0.0
        low, far, new = best.tilted(tilt), other.tilted(tilt), trial.tilted(tilt)
        is_above = new.value > low.value
        has_crossed = new.slope * math.copysign(1.0, low.slope) < 0.0
        step = _next(low, far, new, least, most, is_bracketed=is_bracketed)
        is_bracketed = is_bracketed or is_above or has_crossed
        if is_above:
            other = trial
        else:
            best, other = trial, best if has_crossed else other
        if is_bracketed:
            gap = abs(other.step - best.step)
            if gap >= _SHRINKAGE * before:
                step = best.step + 0.5 * (other.step - best.step)
            before, width = width, gap
            least, most = sorted((best.step, other.step))
        else:
            beyond = step - best.step
            least, most = step + _NEAREST * beyond, step + _FARTHEST * beyond
        step = min(max(step, 0.0), longest)
        if is_bracketed and _is_narrow(step, least, most):
            step = best.step
        if step == trial.step:
            return value <= start.value
    return False


def _is_narrow(step: float, least: float, most: float) -> bool:
    return not least < step < most or most - least <= _NARROW * most


def _next(
    best: Trial, other: Trial, new: Trial, least: float, most: float, *, is_bracketed: bool
) -> float:
    """Return the next step: from cubics and parabolas through the trials, in four cases."""
    away = math.inf if new.step > best.step else -math.inf
    has_crossed = new.slope * math.copysign(1.0, best.slope) < 0.0
    if new.value > best.value:
        cubic, parabola = _cubic(best, new), _parabola(best, new)
        is_nearer = abs(cubic - best.step) <= abs(parabola - best.step)
        step = cubic if is_nearer else cubic + (parabola - cubic) / 2.0
    elif has_crossed:
        cubic, secant = _cubic(new, best), _secant(new, best)
        step = cubic if abs(cubic - new.step) > abs(secant - new.step) else secant
    elif abs(new.slope) < abs(best.slope):
        cubic, secant = _cubic(new, best, may_be_flat=True), _secant(new, best)
        if not (cubic - new.step) * away > 0.0:  # it has no minimum beyond
            cubic = most if away > 0.0 else least
        is_nearer = abs(cubic - new.step) < abs(secant - new.step)
        step = cubic if is_nearer == is_bracketed else secant
        if is_bracketed:
            limit = new.step + _SHRINKAGE * (other.step - new.step)
            step = min(limit, step) if away > 0.0 else max(limit, step)
        else:
            step = min(max(step, least), most)
    elif is_bracketed:
        step = _cubic(new, other)
    else:
        step = most if away > 0.0 else least
    # Rounding may leave no cubic where both ends are alike.
    return step if math.isfinite(step) else (best.step + new.step) / 2.0


def _cubic(near: Trial, far: Trial, *, may_be_flat: bool = False) -> float:
    """Return the minimum of the cubic through two trials, computed from the near one."""
    width = far.step - near.step
    if width == 0.0:
        return math.nan
    theta = 3.0 * (near.value - far.value) / width + near.slope + far.slope
    size = max(abs(theta), abs(near.slope), abs(far.slope))
    if size == 0.0:
        return math.nan
    square = (theta / size) ** 2 - (near.slope / size) * (far.slope / size)
    if square < 0.0 and not may_be_flat:
        return math.nan
    root = math.copysign(size * math.sqrt(max(square, 0.0)), width)
    divisor = root - near.slope + root + far.slope
    if divisor == 0.0 or (may_be_flat and root == 0.0):
        return math.nan
    return near.step + (root - near.slope + theta) / divisor * width


def _parabola(best: Trial, new: Trial) -> float:
    """Return the minimum of the parabola with value and slope of one trial, the value of another.

    The other one lies above.
    """
    width = new.step - best.step
    divisor = (best.value - new.value) / width + best.slope if width else 0.0
    return best.step + best.slope / divisor / 2.0 * width if divisor else math.nan


def _secant(new: Trial, best: Trial) -> float:
    """Return where the slopes of two trials lead to zero."""
    difference = new.slope - best.slope
    step = best.step - new.step
    return new.step + new.slope / difference * step if difference else math.nan
