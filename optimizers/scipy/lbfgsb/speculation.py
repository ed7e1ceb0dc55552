"""Line searches of L-BFGS-B that try several steps at a time, all in one wave.

The direction and what is learnt from a step are the kernel's; only the search along the direction
is here, with the kernel's conditions on a step. Where evaluations at the same time cost no more
than one, the steps that turn out too many are free, and the best of them saves iterations.
"""

from collections.abc import Callable

from optimizers._types import Array
from optimizers.errors import warn_user
from optimizers.run.memory import Evaluation
from optimizers.run.run import Run
from optimizers.scipy.lbfgsb import kernel as kernels
from optimizers.scipy.lbfgsb.line_search import LineSearch


def line_search(
    run: Run, speculate: int, maxls: int
) -> Callable[[kernels.LbfgsbKernel], None] | None:
    """Return a line search that tries ``speculate`` steps at a time, for the kernel.

    Parameters
    ----------
    run : Run
        The run, which evaluates them.
    speculate : int
        How many steps go in one wave.
    maxls : int
        The most steps of one search.

    Returns
    -------
    callable or None
        None for the kernel's own, which tries one at a time: if that is what is wanted or, after
        a warning, if this SciPy's kernel takes no other.
    """
    if speculate == 1:
        return None
    if not kernels.line_search_is_replaceable():
        warn_user(
            f"speculate={speculate} needs a kernel of L-BFGS-B that this SciPy does not have: "
            "steps are tried one at a time."
        )
        return None

    def search(kernel: kernels.LbfgsbKernel) -> None:
        ray = kernel.ray()
        line = LineSearch(ray.value, ray.slope, ray.first, ray.longest)
        known: dict[float, tuple[Evaluation, Array]] = {}
        left = maxls
        while line.acceptable() is None and left > 0:
            steps = line.steps(min(speculate, left))
            if not steps:
                break
            left -= len(steps)
            points = [ray.point(step) for step in steps]
            found = run.ask(points, gradients=True, penalize=False, optional=True).found
            # The budget may have been too small for all.
            for step, answer in zip(steps, found, strict=False):
                if answer is None or answer.jac is None:
                    line.reject(step)
                else:
                    known[step] = answer, answer.jac
                    line.tell(step, answer.fun, float(answer.jac.dot(ray.direction)))
        taken = line.acceptable() or line.lowest()
        if taken is None:
            kernel.give_up()
            return
        answer, gradient = known[taken.step]
        run.goes_on_from(answer)
        kernel.accept(taken.step, answer.x, answer.fun, gradient)

    return search
