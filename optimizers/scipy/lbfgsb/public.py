"""L-BFGS-B through SciPy's public function: slower, if the kernel cannot be used."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.optimize

from optimizers._types import Array
from optimizers.scipy.options import LbfgsbOptions
from optimizers.scipy.stationary import Evaluate

# The messages of the kernel's task numbers.
MAXITER = 504
TASKS = {4: "CONVERGENCE", 5: "STOP", 6: "WARNING", 7: "ERROR", 8: "ABNORMAL"}
DETAILS = {
    0: "",
    301: "",
    302: "",
    401: "NORM OF PROJECTED GRADIENT <= PGTOL",
    402: "RELATIVE REDUCTION OF F <= FACTR*EPSMCH",
    503: "PROJECTED GRADIENT IS SUFFICIENTLY SMALL",
    504: "TOTAL NO. OF ITERATIONS REACHED LIMIT",
    601: "ROUNDING ERRORS PREVENT PROGRESS",
    602: "STP = STPMAX",
    603: "STP = STPMIN",
    604: "XTOL TEST SATISFIED",
    701: "NO FEASIBLE SOLUTION",
    702: "FACTR < 0",
    703: "FTOL < 0",
    704: "GTOL < 0",
    705: "XTOL < 0",
    706: "STP < STPMIN",
    707: "STP > STPMAX",
    708: "STPMIN < 0",
    709: "STPMAX < STPMIN",
    710: "INITIAL G >= 0",
    711: "M <= 0",
    712: "N <= 0",
    713: "INVALID NBD",
}
STOP = 5
_EPS = float(np.finfo(np.float64).eps)


@dataclass
class LbfgsbEnd:
    """How an L-BFGS-B run ended: status 0 converged, 1 out of iterations, 2 for another reason."""

    x: Array
    nit: int
    status: int
    message: str


def has_curvature(step: Array, change: Array, gradient: Array) -> bool:
    """Return whether a step enters the memory, by the kernel's own condition."""
    with np.errstate(all="ignore"):  # an unbounded objective overflows here
        return bool(change.dot(step) > -_EPS * gradient.dot(step))


class PublicLbfgsb:
    """L-BFGS-B through SciPy's public function, with the kernel's interface."""

    def __init__(
        self, x0: Array, lower: Array | None, upper: Array | None, options: LbfgsbOptions
    ) -> None:
        self.x, self.f, self.g = x0.copy(), np.zeros(()), np.zeros(x0.size)
        self.iterations = 0
        self._bounds = None if lower is None else scipy.optimize.Bounds(lower, upper)
        self._options = {
            name: getattr(options, name) for name in ("maxcor", "ftol", "gtol", "maxls")
        }
        self._pairs: deque[tuple[Array, Array]] = deque(maxlen=options.maxcor)
        self._is_kept = False
        self._result: Any = None

    def run(
        self,
        evaluate: Evaluate,
        maxiter: int,
        on_iteration: Callable[[Any], None],
        first: tuple[float, Array] | None = None,
        search: Callable[[Any], None] | None = None,
    ) -> None:
        """Iterate as :meth:`LbfgsbKernel.run`, by SciPy's line search: none can be given here."""
        assert search is None
        value, gradient = evaluate(self.x) if first is None else first
        self.f[...], self.g[...] = value, gradient
        if maxiter <= 0:
            return
        known = {self.x.tobytes(): (value, gradient.copy())}

        def both(x: Array) -> tuple[float, Array]:
            key = x.tobytes()
            if key not in known:
                known.clear()  # as the kernel, which stores only its last question
                known[key] = evaluate(x)
            return known[key]

        def iteration(x: Array) -> None:
            value, gradient = both(x)
            step, change = x - self.x, gradient - self.g
            self._is_kept = has_curvature(step, change, self.g)
            if self._is_kept:
                self._pairs.append((step, change))
            self.x[...], self.f[...], self.g[...] = x, value, gradient
            self.iterations += 1
            on_iteration(self)

        self._result = scipy.optimize.minimize(
            both,
            self.x.copy(),
            jac=True,
            bounds=self._bounds,
            method="L-BFGS-B",
            callback=iteration,
            options={**self._options, "maxiter": maxiter, "maxfun": np.iinfo(np.int64).max},
        )

    def end(self) -> LbfgsbEnd:
        """Return how the run ended."""
        if self._result is None:
            return LbfgsbEnd(self.x, 0, 1, f"{TASKS[STOP]}: {DETAILS[MAXITER]}")
        raw = self._result
        return LbfgsbEnd(raw.x, self.iterations, int(raw.status), str(raw.message))

    def pairs(self) -> tuple[Array, Array]:
        """Return steps and gradient changes; as :meth:`LbfgsbKernel.pairs`."""
        n = self.x.size
        if self._result is not None:
            # The kernel sometimes clears its memory: SciPy's operator shows its size, without the
            # final step.
            accepted = self._result.message.startswith(("CONVERGENCE", "STOP"))
            held = self._result.hess_inv.n_corrs + (accepted and self._is_kept)
            while len(self._pairs) > held:
                self._pairs.popleft()
        sk = np.array([step for step, _ in self._pairs]).reshape(len(self._pairs), n)
        yk = np.array([change for _, change in self._pairs]).reshape(len(self._pairs), n)
        return sk, yk
