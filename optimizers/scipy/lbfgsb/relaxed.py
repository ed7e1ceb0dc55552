"""L-BFGS-B where gradients are rough and values noisy: its first pairs, and its line search.

References
----------
.. [1] H.-J. M. Shi, Y. Xie, R. Byrd and J. Nocedal, "A noise-tolerant quasi-Newton algorithm for
   unconstrained optimization", SIAM Journal on Optimization 32 (2022) 29-55.
"""

from collections.abc import Callable

import numpy as np

from optimizers._types import Array
from optimizers.run.run import Run
from optimizers.run.watch import Watch
from optimizers.scipy.lbfgsb import available
from optimizers.scipy.lbfgsb.kernel import LbfgsbKernel

#: The fraction of the predicted decrease that a step has to achieve, and by how many standard
#: deviations of the noise it may miss that.
_DECREASE, _RELAXED = 1e-4, 2.0
#: By how much a step is shortened at least and at most.
_SHRINK = (0.1, 0.5)


def relaxed(run: Run, watch: Watch, maxls: int) -> Callable[[LbfgsbKernel], None] | None:
    """Return a line search that accepts a step unless its value is visibly too high.

    None if this kernel's own cannot be replaced.
    """
    if not available.line_search_is_replaceable():
        return None

    def search(kernel: LbfgsbKernel) -> None:
        ray = kernel.ray()
        step = min(ray.first, ray.longest)
        for _ in range(maxls):
            x = run.problem.clip(ray.point(step))
            value = run.value(x)
            if value <= ray.value + _DECREASE * step * ray.slope + _RELAXED * watch.sigma:
                kernel.accept(step, x, value, run.gradient(x))
                return
            watch.asked(value)
            bend = value - ray.value - step * ray.slope
            ratio = -step * ray.slope / (2 * bend) if bend > 0 else 0.0
            step *= float(np.clip(ratio, *_SHRINK))
        kernel.give_up()

    return search


def axis_pairs(x: Array, curvatures: Array, most: int) -> list[tuple[Array, Array]]:
    """Return pairs along the variables of the largest curvature, the smallest of these last."""
    largest = [i for i in np.argsort(-curvatures)[:most] if curvatures[i] > 0.0]
    axes = np.zeros((len(largest), x.size))
    axes[range(len(largest)), largest] = 1e-3 * np.maximum(1.0, np.abs(x[largest]))
    return list(zip(axes, axes * curvatures, strict=True))
