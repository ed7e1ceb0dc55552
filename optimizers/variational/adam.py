"""ADAM and AMSGRAD: steps scaled by moving averages of the gradient and its square."""

from __future__ import annotations

import csv
import os
from collections.abc import Container, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from typing_extensions import Unpack, override

from optimizers._types import Array
from optimizers.asktell.messages import AskData
from optimizers.errors import OptionError
from optimizers.flow import Flow, FlowOptimizer, FlowSettings, Step, ended
from optimizers.gradients.differences import Differences
from optimizers.gradients.source import GradientSource
from optimizers.journal.journal import as_path
from optimizers.options.table import (
    FLAG,
    TOLERANCE,
    Check,
    Option,
    anything,
    limit,
    number,
    redeclared,
    refused,
    whole,
)
from optimizers.problem.problem import Problem
from optimizers.result import OptimizerResult, StopReason
from optimizers.run.observers import Observer
from optimizers.run.run import Run
from optimizers.support import SupportLevel, Traits, levels
from optimizers.variational.projection import stepped

#: Averages of gradients ``m``, of their squares ``v`` and the largest of these ``v_eff``, each of
#: shape (n,), after ``t`` steps.
Moments: TypeAlias = dict[str, Any]

#: The name of the file, and the order of its columns, as in Qiskit.
_FILE = "adam_params.csv"
_COLUMNS = ("v", "v_eff", "m", "t")


def check_moments(given: Any, names: tuple[str, ...]) -> None:
    """Raise an OptionError if an option is not moments with the vectors of these names."""
    expected = f"expected a dict with {', '.join(names)}, of shape (n,), and t"
    if not (isinstance(given, Mapping) and {*names, "t"} <= given.keys()):
        raise OptionError(f"moments is {given!r:.200}, {expected}.")
    whole(0)("t of the moments", given["t"])
    try:
        vectors = [np.asarray(given[name], dtype=np.float64) for name in names]
    except (TypeError, ValueError):
        raise OptionError(f"moments is {given!r:.200}, {expected}.") from None
    shapes = {vector.shape for vector in vectors}
    if len(shapes) > 1 or vectors[0].ndim != 1 or not np.isfinite(vectors).all():
        raise OptionError(
            f"moments is {given!r:.200}, {expected}: all of the same size, and finite."
        )
    if any(np.any(given[name] < np.zeros(1)) for name in names if name != "m"):
        raise OptionError(f"moments is {given!r:.200}: averages of squares are not negative.")


class Snapshots:
    """An observer that overwrites the file, and appends a run's moments after every step."""

    def __init__(self, folder: str | os.PathLike[str], amsgrad: bool) -> None:
        self._folder = folder
        with (Path(folder) / _FILE).open("w", newline="") as file:
            csv.writer(file).writerow(_columns_of((*vectors_of(amsgrad), "t")))

    def __call__(self, state: OptimizerResult) -> bool:
        """Append the moments of an iteration."""
        append_moments(self._folder, state["moments"])
        return False


def vectors_of(amsgrad: bool) -> tuple[str, ...]:
    """Return the names of the vectors that moments have."""
    return ("m", "v", "v_eff") if amsgrad else ("m", "v")


def _columns_of(names: Container[str]) -> list[str]:
    return [name for name in _COLUMNS if name in names]


def append_moments(folder: str | os.PathLike[str], moments: Moments) -> None:
    """Append moments to the file in a folder; a new file gets its header."""
    path = Path(as_path("snapshot_dir", folder)) / _FILE
    columns = _columns_of(moments)
    is_new = not path.exists()
    vectors = (np.asarray(moments[name], dtype=np.float64).tolist() for name in columns[:-1])
    # As text that Qiskit can read too, exactly.
    row = [*(f"[{' '.join(map(repr, vector))}]" for vector in vectors), moments["t"]]
    with path.open("a", newline="") as file:
        csv.writer(file).writerows([columns, row] if is_new else [row])


def read_moments(folder: str | os.PathLike[str]) -> Moments:
    """Return the last moments in the file of a folder, or raise an OptionError."""
    path = Path(as_path("load_dir", folder)) / _FILE
    try:
        with path.open(newline="") as file:
            rows = [row for row in csv.DictReader(file) if row["t"] != "t"]
        last = rows[-1]
        texts = {name: last[name].strip("[] \n") for name in _COLUMNS[:-1] if last.get(name)}
        vectors = {name: list(map(float, text.split())) for name, text in texts.items()}
        return {**vectors, "t": int(last["t"])}
    except OSError as error:
        raise OptionError(f"The moments cannot be read: {error}.") from error
    except (LookupError, TypeError, ValueError) as error:
        raise OptionError(
            f"{path} has no moments, expected the columns v, m and t, and a row per step."
        ) from error


#: The default step of the differences, as in Qiskit.
_EPS = 1e-10


def _test_folder(name: str, folder: Any) -> None:
    if not Path(as_path(name, folder)).is_dir():
        raise refused(name, folder, "a directory that exists")


class ADAM(FlowOptimizer):
    r"""Adam: steps scaled by moving averages of the gradient and of its square.

    With :math:`g` the gradient at :math:`x_{t-1}`,

    .. math::
        m_t &= \beta_1 m_{t-1} + (1 - \beta_1) g, \qquad
        v_t = \beta_2 v_{t-1} + (1 - \beta_2) g^2, \\
        x_t &= x_{t-1} - \eta \frac{m_t / (1 - \beta_1^t)}
        {\sqrt{v_t / (1 - \beta_2^t)} + \epsilon}

    which is Algorithm 1 of [1]_, and what PyTorch computes. With ``amsgrad`` the largest
    :math:`v` so far replaces :math:`v_t` [2]_. With bounds, each step is projected to them.

    Notes
    -----
    The result's ``moments`` are those after the last step; in a callback,
    ``intermediate_result.moments`` are those that led to its ``x``.

    References
    ----------
    .. [1] D. P. Kingma and J. Ba, "Adam: A method for stochastic optimization", ICLR 2015,
       arXiv:1412.6980.
    .. [2] S. J. Reddi, S. Kale and S. Kumar, "On the convergence of Adam and beyond", ICLR 2018,
       arXiv:1904.09237.

    Examples
    --------
    >>> fun, jac = lambda x: float(x @ x), lambda x: 2 * x
    >>> ADAM(maxiter=300, lr=0.1).minimize(fun, [3.0, 4.0], jac).x.round(3) + 0.0
    array([0., 0.])

    A run in two parts gives the same result as a single one:

    >>> whole = ADAM(maxiter=20, lr=0.1).minimize(fun, [3.0, 4.0], jac)
    >>> first = ADAM(maxiter=10, lr=0.1).minimize(fun, [3.0, 4.0], jac)
    >>> rest = ADAM(maxiter=10, lr=0.1, moments=first.moments).minimize(fun, first.x, jac)
    >>> rest.x.tolist() == whole.x.tolist()
    True
    """

    traits = Traits("Estimated gradients, as from mini-batches, and many variables.", parallel=True)

    _declared: tuple[Option, ...] = (
        Option("maxiter", 10000, limit(0)).means("Maximum number of steps."),
        Option("tol", 1e-6, TOLERANCE).means(
            "The run converges when the norm of a step is less than this."
        ),
        Option("lr", 1e-3, number(0)).means("The learning rate, :math:`\\eta`."),
        Option("beta_1", 0.9, number(0, 1, "[)")).means(
            "The decay rate of the average of gradients, in [0, 1)."
        ),
        Option("beta_2", 0.99, number(0, 1, "[)")).means(
            "The decay rate of the average of squares, in [0, 1)."
        ),
        Option("noise_factor", 1e-8, number(0)).means(
            "The term added to the denominator, :math:`\\epsilon`; PyTorch's ``eps``."
        ),
        Option("eps", _EPS, number(0, ends="()")).means(
            "The step of the one-sided differences that are used if no gradient is given. "
            "For noisy values, pass ``jac=ParameterShift()`` or a longer step."
        ),
        Option("amsgrad", False, FLAG).means("Whether to use AMSGrad."),
        Option("snapshot_dir", None, Check("str", _test_folder)).means(
            "A directory: the moments after every step are written to its file "
            "``adam_params.csv``, which each run overwrites; so use it for one run at a time. To "
            "resume a killed run, pass ``journal=`` to ``minimize`` instead."
        ),
        Option("moments", None, anything("dict")).means(
            "The initial moments of a run, from another result's ``moments`` or from "
            ":meth:`load_params`: the averages ``m`` and ``v``, with ``amsgrad`` also ``v_eff``, "
            "each of shape (n,), and the number of steps ``t``. Zeros by default."
        ),
    )
    support_levels = levels(gradient=SupportLevel.supported)

    def __init__(
        self,
        maxiter: int = 10000,
        tol: float = 1e-6,
        lr: float = 1e-3,
        beta_1: float = 0.9,
        beta_2: float = 0.99,
        noise_factor: float = 1e-8,
        eps: float = _EPS,
        amsgrad: bool = False,
        snapshot_dir: str | os.PathLike[str] | None = None,
        *,
        moments: Moments | None = None,
        **settings: Unpack[FlowSettings],
    ) -> None:
        super().__init__(self._gathered(locals()), **settings)

    @override
    def _check_options(self, options: dict[str, Any]) -> None:
        if options["moments"] is not None:
            check_moments(options["moments"], vectors_of(options["amsgrad"]))

    @override
    def _differences(self, problem: Problem) -> GradientSource:
        return (
            Differences(step=self.eps)
            if problem.derivatives.is_default
            else super()._differences(problem)
        )

    @override
    def _has_user_steps(self, problem: Problem) -> bool:
        is_chosen = problem.derivatives.is_default and self.eps != _EPS
        return is_chosen or super()._has_user_steps(problem)

    def save_params(self, snapshot_dir: str | os.PathLike[str]) -> None:
        """Append the initial moments to the file ``adam_params.csv``.

        Parameters
        ----------
        snapshot_dir : str or PathLike
            The directory of the file.

        Raises
        ------
        OptionError
            If there are none, since an optimizer stores no state of a run. Pass ``snapshot_dir`` to
            the constructor, or set the option to the ``moments`` of a result.
        """
        if self.moments is None:
            raise OptionError(
                f"{type(self).__name__} has no moments to save, since it stores no state of a run: "
                "pass snapshot_dir to the constructor, or call "
                "set_options(moments=result.moments)."
            )
        append_moments(snapshot_dir, self.moments)

    def load_params(self, load_dir: str | os.PathLike[str]) -> None:
        """Set the option ``moments`` to the last ones in the file ``adam_params.csv``.

        Every later run starts with them; its point is still ``x0``.

        Parameters
        ----------
        load_dir : str or PathLike
            The directory of the file, as Qiskit's ``ADAM`` or this one wrote it.

        Raises
        ------
        OptionError
            If the file has no moments that can be used.
        """
        self.set_options(moments=read_moments(load_dir))

    @override
    def _watchers(self) -> tuple[Observer, ...]:
        folder = self.snapshot_dir
        return () if folder is None else (Snapshots(folder, self.amsgrad),)

    def _start(self, n: int) -> tuple[Array, Array, Array, int]:
        """Return the initial moments of a run of n variables: m, v, the largest v, and t."""
        if self.moments is None:
            return np.zeros(n), np.zeros(n), np.zeros(n), 0
        m, v, *largest = (np.array(self.moments[k], np.float64) for k in vectors_of(self.amsgrad))
        if m.size != n:
            raise OptionError(f"moments have {m.size} variables, but x0 has {n}.")
        return m, v, largest[0] if largest else v, int(self.moments["t"])

    @override
    def _flow(self, problem: Problem, run: Run) -> Flow:
        x, maxiter, tol, stop = problem.x0, self.maxiter, self.tol, StopReason.MAXITER
        beta_1, beta_2, amsgrad = self.beta_1, self.beta_2, self.amsgrad
        lr, noise_factor = self.lr, self.noise_factor
        m, v, largest, t = self._start(problem.n)
        for k in range(maxiter):
            told = yield AskData(x, x)
            if k > 0:
                yield Step(x, told.fun, told.jac)
            gradient, t = told.jac, t + 1
            # Written in PyTorch's order, so that steps are rounded alike.
            m = m + (1 - beta_1) * (gradient - m)
            v = beta_2 * v + (1 - beta_2) * gradient * gradient
            largest = np.maximum(largest, v) if amsgrad else v
            below = np.sqrt(largest) / np.sqrt(1 - beta_2**t) + noise_factor
            # Variables without any gradient do not move, whatever the noise factor is.
            ratio = np.divide(m, below, out=np.zeros_like(m), where=below > 0)
            new, is_held = stepped(problem, x, lr / (1 - beta_1**t) * ratio, gradient)
            length, x = float(np.linalg.norm(new - x)), new
            # Copies, which observers may keep or change.
            run.extra["moments"] = {"m": m.copy(), "v": v.copy(), "t": t}
            if amsgrad:
                run.extra["moments"]["v_eff"] = largest.copy()
            if length < tol and not is_held:
                stop = StopReason.STEP
                break
        told = yield AskData(x)  # no further step needs its gradient
        if maxiter > 0:
            yield Step(x, told.fun)
        return ended(x, stop, told.fun)


class AMSGRAD(ADAM):
    """AMSGrad: Adam with steps that do not grow again after small gradients.

    The largest of the averages of squares so far is in the denominator; see :class:`ADAM` for
    the formula and the reference.

    Examples
    --------
    >>> fun, jac = lambda x: float(x @ x), lambda x: 2 * x
    >>> AMSGRAD(maxiter=500, lr=0.1).minimize(fun, [3.0, 4.0], jac).x.round(3) + 0.0
    array([0., 0.])
    """

    traits = Traits("Like ADAM, if its steps grow again too soon.", parallel=True)

    _declared = redeclared(ADAM._declared, amsgrad=True)

    def __init__(
        self,
        maxiter: int = 10000,
        tol: float = 1e-6,
        lr: float = 1e-3,
        beta_1: float = 0.9,
        beta_2: float = 0.99,
        noise_factor: float = 1e-8,
        eps: float = _EPS,
        amsgrad: bool = True,
        snapshot_dir: str | os.PathLike[str] | None = None,
        *,
        moments: Moments | None = None,
        **settings: Unpack[FlowSettings],
    ) -> None:
        FlowOptimizer.__init__(self, self._gathered(locals()), **settings)
