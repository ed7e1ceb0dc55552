"""Line searches of L-BFGS-B that look at a value before its gradient is paid for.

Where the probes of a gradient wait for workers, a step whose value alone tells that it is too long
needs none of them.
"""

from collections.abc import Callable

from optimizers.run.run import Run
from optimizers.scipy.lbfgsb import kernel as kernels


def values_first(run: Run) -> Callable[[kernels.LbfgsbKernel], None] | None:
    """Return what answers the kernel's line search, without gradients that it has no use for.

    Parameters
    ----------
    run : Run
        The run.

    Returns
    -------
    callable or None
        None where nothing is gained by it, as there is a worker for each point or no probes, or
        where this SciPy's kernel does not step back by values; and for random probes, which are
        to be the same on any number of workers.
    """
    has_probes = not run.problem.derivatives.is_given
    has_probes = has_probes and not run.source.is_random
    if not (has_probes and run.is_narrow and kernels.steps_back_by_value()):
        return None

    def answer(kernel: kernels.LbfgsbKernel) -> None:
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
