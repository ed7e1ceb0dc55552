"""How near optimizers come to the ground energy under noise: ours, Qiskit's and SciPy's.

    python benchmarks/noise.py [--waves 150] [--seeds 8] [--problem ising ...] [--plot noise.png]

The energy of a circuit, from a random start, with normal noise of a standard deviation sigma in
each value: that of so many shots, (spread of one shot / sigma)^2, where the spread is that of the
identity-free Hamiltonian in the state of equal weights. Each call of the objective with an array of
points is a wave, as a job of a quantum computer; an optimizer is stopped after ``--waves`` of them.
Printed is the median over the seeds of the energy, evaluated without noise at the point that is
returned, above the ground energy.
"""

import argparse
import statistics
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.optimize import minimize

import optimizers
from optimizers import LBFGSB, NFT, SPSA, NoisyLBFGSB, ParameterShift, vectorized
from optimizers.problems import VQE, h2, ising

PROBLEMS: dict[str, Callable[..., VQE]] = {"ising": ising, "h2": h2}
SIGMAS = (1e-1, 3e-2, 1e-2, 1e-3, 1e-4)


class SpentError(Exception):
    """The waves are used up."""


class Noisy:
    """An energy with noise, of which each call is a wave."""

    def __init__(self, energy: VQE, sigma: float, seed: int, waves: int) -> None:
        self.energy, self.sigma, self.left = energy, sigma, waves
        self.rng = np.random.default_rng([seed, 1])
        self.last = energy.x0

    @vectorized
    def __call__(self, points: Any) -> Any:
        """Return the values of a stack of points, or of one."""
        stack = np.atleast_2d(points)
        if self.left == 0:
            raise SpentError
        self.left -= 1
        self.last = stack[0]
        values = self.energy(stack) + self.sigma * self.rng.normal(size=len(stack))
        return values if np.ndim(points) == 2 else float(values[0])

    def both(self, x: Any) -> tuple[float, Any]:
        """Return the value and the parameter-shift gradient, in one wave."""
        values = self(np.concatenate([x[np.newaxis], ParameterShift().plan(x).points]))
        return values[0], ParameterShift().plan(x).fold(values[0], values[1:])


Contestant = Callable[[Noisy, int], Any]


def ours(make: Callable[[int, int], optimizers.Optimizer], jac: Any = None) -> Contestant:
    """Return a contestant of ours, made from its waves and the points of a gradient."""

    def run(fun: Noisy, seed: int) -> Any:
        optimizer = make(fun.left, 2 * fun.energy.n + 1)
        try:
            return optimizer.minimize(fun, fun.energy.x0, jac, seed=seed).x
        except SpentError as spent:
            return spent.optimizer_result.x  # type: ignore[attr-defined]  # documented

    return run


def scipys(method: str, limit: str, uses_shift: bool) -> Contestant:
    def run(fun: Noisy, seed: int) -> Any:
        options = {limit: fun.left}
        try:
            if uses_shift:
                return minimize(fun.both, fun.energy.x0, jac=True, method=method, options=options).x
            return minimize(fun, fun.energy.x0, method=method, options=options).x
        except SpentError:
            return fun.last

    return run


def qiskits(name: str, make: Callable[[int], dict[str, int]]) -> Contestant:
    def run(fun: Noisy, seed: int) -> Any:
        from qiskit_algorithms import optimizers as theirs
        from qiskit_algorithms.utils import algorithm_globals

        algorithm_globals.random_seed = seed
        optimizer = getattr(theirs, name)(**make(fun.left))
        n = fun.energy.n
        optimizer.set_max_evals_grouped(2 * n + 1)

        def flat(points: Any) -> Any:
            stack = np.reshape(points, (-1, n))
            values = fun(stack)
            return values if len(stack) > 1 else float(values[0])

        try:
            return optimizer.minimize(flat, fun.energy.x0).x
        except SpentError:
            return fun.last

    return run


#: Each ends by itself within the waves, as far as it can be told how many it may take: an
#: algorithm that is cut off has but its last point to show. NoisyLBFGSB's waves are about a
#: gradient's points each; SPSA and NFT take one wave an iteration, and a few besides.
CONTESTANTS: dict[str, Contestant] = {
    "NoisyLBFGSB, parameter shift": ours(
        lambda waves, points: NoisyLBFGSB(maxfun=points * (waves - 2) + 8), ParameterShift()
    ),
    "NoisyLBFGSB, differences": ours(
        lambda waves, points: NoisyLBFGSB(maxfun=points * (waves + 3))
    ),
    "LBFGSB, parameter shift": ours(
        lambda waves, points: LBFGSB(maxfun=points * waves), ParameterShift()
    ),
    "SPSA": ours(lambda waves, points: SPSA(maxiter=waves - 2)),
    "NFT": ours(lambda waves, points: NFT(maxfev=100_000, maxiter=waves - waves // 32 - 2)),
    "SciPy L-BFGS-B, parameter shift": scipys("L-BFGS-B", "maxfun", True),
    "SciPy L-BFGS-B": scipys("L-BFGS-B", "maxfun", False),
    "SciPy COBYLA": scipys("COBYLA", "maxiter", False),
    "Qiskit L_BFGS_B": qiskits("L_BFGS_B", lambda waves: {}),
    "Qiskit SPSA": qiskits("SPSA", lambda waves: {"maxiter": waves - 6}),
    "Qiskit NFT": qiskits("NFT", lambda waves: {"maxfev": waves - 4}),
}


def shots(energy: VQE, sigma: float) -> float:
    """Return how many shots of the whole Hamiltonian have that noise."""
    weights = [c for label, c in energy.hamiltonian.items() if label.strip("I")]
    return float(np.sum(np.square(weights))) / sigma**2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--waves", type=int, default=150)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--sigma", type=float, nargs="+", default=list(SIGMAS))
    parser.add_argument("--problem", nargs="+", default=list(PROBLEMS), choices=PROBLEMS)
    parser.add_argument("--plot", help="a picture to draw")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    found: dict[str, dict[str, list[float]]] = {}
    for problem in given.problem:
        make = PROBLEMS[problem]
        counts = "  ".join(f"{shots(make(), sigma):9.3g}" for sigma in given.sigma)
        print(f"{problem}: {make().n} angles, {given.waves} waves, median of {given.seeds} seeds")
        print(f"{'sigma':>34}  {'  '.join(f'{sigma:9.0e}' for sigma in given.sigma)}")
        print(f"{'shots':>34}  {counts}")
        for name, contestant in CONTESTANTS.items():
            medians = []
            for sigma in given.sigma:
                gaps = []
                for seed in range(given.seeds):
                    energy = make(seed=seed)
                    try:
                        x = contestant(Noisy(energy, sigma, seed, given.waves), seed)
                    except ImportError as error:
                        print(f"{name:>34}  {error}")
                        break
                    gaps.append(energy(x) - energy.ground_energy)
                if len(gaps) < given.seeds:
                    break
                medians.append(statistics.median(gaps))
            else:
                print(f"{name:>34}  {'  '.join(f'{gap:9.2g}' for gap in medians)}", flush=True)
                found.setdefault(problem, {})[name] = medians
    if given.plot:
        draw(found, given.sigma, given.plot)


def draw(found: dict[str, dict[str, list[float]]], sigmas: list[float], path: str) -> None:
    """Draw errors against shots, a panel a problem."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(
        1, len(found), figsize=(6.5 * len(found), 5), squeeze=False, layout="constrained"
    )
    for panel, (problem, rows) in zip(axes[0], found.items(), strict=True):
        across = [shots(PROBLEMS[problem](), sigma) for sigma in sigmas]
        for name, medians in rows.items():
            style = "-o" if not name.startswith(("SciPy", "Qiskit")) else "--s"
            panel.loglog(across, np.maximum(medians, 1e-9), style, label=name, markersize=4)
        panel.set_title(problem)
        panel.set_xlabel("shots a value")
        panel.set_ylabel("energy above the ground energy")
    axes[0][-1].legend(fontsize="small", loc="center left", bbox_to_anchor=(1.0, 0.5))
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
