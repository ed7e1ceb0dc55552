"""How many points are evaluated when 30 are allowed, here and elsewhere; what each reports.

A function of ten variables without a gradient: each gradient by differences takes ten points. Needs
the extra ``bench``; what is not installed is left out. Run it as ``python benchmarks/budgets.py``.
"""

from collections.abc import Callable
from importlib.util import find_spec

import numpy as np
import scipy.optimize

from optimizers import LBFGSB

LIMIT, START = 30, np.full(10, 3.0)


def ours(fun: Callable) -> int:
    return LBFGSB(maxfun=LIMIT).minimize(fun, START).nfev


def scipys(method: str) -> Callable:
    options = {"maxfun": LIMIT}
    return lambda fun: scipy.optimize.minimize(fun, START, method=method, options=options).nfev


def qiskits(fun: Callable) -> int:
    from qiskit_algorithms.optimizers import L_BFGS_B

    return L_BFGS_B(maxfun=LIMIT).minimize(fun, START).nfev


def optimagics(fun: Callable) -> int | None:
    import optimagic

    options = {"stopping.maxfun": LIMIT}
    return optimagic.minimize(
        fun, START, algorithm="scipy_lbfgsb", algo_options=options
    ).n_fun_evals


def main() -> None:
    libraries = {
        "optimizers": ours,
        "SciPy, L-BFGS-B": scipys("L-BFGS-B"),
        "SciPy, TNC": scipys("TNC"),
    }
    if find_spec("qiskit_algorithms"):
        libraries["qiskit-algorithms"] = qiskits
    if find_spec("optimagic"):
        libraries["optimagic"] = optimagics
    print(f"{'L-BFGS-B, at most 30':20} evaluated  reported")
    for name, run in libraries.items():
        count = 0

        def fun(x: np.ndarray) -> float:
            nonlocal count
            count += 1
            return float(((x - 1) ** 2).sum() + (x[0] * x[1]) ** 2)

        reported = run(fun)
        print(f"{name:20} {count:9}  {reported:8}")


if __name__ == "__main__":
    main()
