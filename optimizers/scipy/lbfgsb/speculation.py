"""Line searches of L-BFGS-B that suit waves, with the kernel's directions and conditions.

Several steps at a time, of which the best saves iterations; or values before gradients.
"""

from collections.abc import Callable

from optimizers._types import Array
from optimizers.errors import warn_user
from optimizers.run.memory import Evaluation
from optimizers.run.run import Run
from optimizers.scipy.lbfgsb import available
from optimizers.scipy.lbfgsb.kernel import LbfgsbKernel
from optimizers.scipy.lbfgsb.line_search import LineSearch


def line_search(run: Run, speculate: int, maxls: int) -> Callable[[LbfgsbKernel], None] | None:
    """Return a line search that tries ``speculate`` steps at a time; None for the kernel's own."""
    if speculate == 1:
        return None
    if not available.line_search_is_replaceable():
        warn_user(
            f"speculate={speculate} needs a kernel of L-BFGS-B that this SciPy does not have: "
            "steps are tried one at a time."
        )
        return None

    def search(kernel: LbfgsbKernel) -> None:
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


def values_first(run: Run) -> Callable[[LbfgsbKernel], None] | None:
    """Return what answers the line search without needless gradients; None if nothing is gained."""
    # Random probes are to be alike on any workers.
    has_probes = not (run.problem.derivatives.is_given or run.source.is_random)
    if not (has_probes and run.is_narrow and available.steps_back_by_value()):
        return None

    def answer(kernel: LbfgsbKernel) -> None:
        limit = kernel.decrease_limit
        (known,) = run.ask(
            [kernel.x], gradients=True, reuse=True, skip_gradient_if=lambda value: value > limit
        ).found
        assert known is not None
        if known.jac is None:
            kernel.step_back(known.fun)
        else:
            kernel.f[...], kernel.g[...] = known.fun, known.jac

    return answer
