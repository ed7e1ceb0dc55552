"""One search by the package ``cma``."""

from importlib import import_module
from typing import Any

import numpy as np

from optimizers._types import Array
from optimizers.errors import MissingExtraError
from optimizers.result import StopReason
from optimizers.search.cmaes.space import Distribution, Space

_TOO_LONG = (
    "The steps became much longer than at first: sigma0 is too small, or the objective falls "
    "without end."
)
#: Why cma stops, and the message if that of the reason does not say enough; the first one counts.
_STOPS = {
    "tolfun": (StopReason.FUN, ""),
    "tolfunhist": (StopReason.FUN, ""),
    "tolx": (StopReason.STEP, ""),
    "tolxstagnation": (StopReason.STEP, ""),
    "noeffectcoord": (StopReason.STEP, ""),
    "noeffectaxis": (StopReason.STEP, ""),
    "tolflatfitness": (StopReason.FUN, "The values of a generation do not differ."),
    "tolstagnation": (StopReason.NO_PROGRESS, "The values of the generations no longer fall."),
    "tolconditioncov": (StopReason.NO_PROGRESS, "The covariance matrix became singular."),
    "tolfacupx": (StopReason.NO_PROGRESS, _TOO_LONG),
    "tolupsigma": (StopReason.NO_PROGRESS, _TOO_LONG),
    "maxiter": (StopReason.MAXITER, ""),
}


def imported(name: str = "cma") -> Any:
    """Return a module of the package ``cma``."""
    try:
        return import_module(name)
    except ImportError as error:
        raise MissingExtraError("CMAES needs the package cma: pip install cma.") from error


def _variant(name: str, random: np.random.RandomState) -> dict[str, Any]:
    """Return cma's options for a form of the covariance matrix."""
    if name == "vkd":
        sampler = imported("cma.restricted_gaussian_sampler").GaussVkDSampler
        drawn = {"CMA_sampler_options": {"randn": random.randn}}
        return {**sampler.extend_cma_options(), **drawn}
    return {"CMA_diagonal": True} if name == "sep" else {}


class Strategy:
    """One search of cma's: it asks for generations and is told their values, until it stops.

    Parameters
    ----------
    space : Space
        The variables.
    first : Distribution
        The distribution of the first generation.
    random : RandomState
        Its random numbers.
    variant : str
        The form of the covariance matrix.
    popsize, maxiter : optional
        The size and the number of the generations; cma's by default.
    **tolerances
        Further options of cma's.
    """

    def __init__(
        self,
        space: Space,
        first: Distribution,
        random: np.random.RandomState,
        variant: str,
        *,
        popsize: int | None = None,
        maxiter: float | None = None,
        **tolerances: float,
    ) -> None:
        given = {"popsize": popsize, "maxiter": maxiter, "CMA_stds": first.stds}
        options: dict[str, Any] = {k: v for k, v in given.items() if v is not None}
        # Quiet, without files, and without NumPy's global random numbers.
        options.update(verbose=-10, seed=np.nan, randn=random.randn)
        if np.isfinite((space.low, space.high)).any():
            options["bounds"] = [space.low, space.high]
            if space.n == 1:
                options["maxstd"] = np.inf  # cma fails where it shortens steps of one variable
        options.update(tolerances, **_variant(variant, random))
        self._space = space
        self._es = imported().CMAEvolutionStrategy(first.mean, first.sigma, options)
        if first.correlations is not None and variant == "full":
            self._es.sm.C = first.correlations
            self._es.sm.update_now(-1)
        self._asked = list[Array]()

    @property
    def popsize(self) -> int:
        """The size of a generation."""
        return int(self._es.popsize)

    @property
    def maxiter(self) -> float:
        """The maximum number of generations."""
        return float(self._es.opts["maxiter"])

    @property
    def generations(self) -> int:
        """How many generations there were."""
        return int(self._es.countiter)

    @property
    def evaluations(self) -> int:
        """How many points they had."""
        return int(self._es.countevals)

    @property
    def sigma(self) -> float:
        """The step size."""
        return float(self._es.sigma)

    @property
    def mean(self) -> Array:
        """The mean of the distribution, as the problem has it."""
        return self._space.points(np.asarray(self._es.result.xfavorite))

    def ask(self) -> Array:
        """Return a generation, as the problem has it."""
        self._asked = self._es.ask()
        return self._space.points(np.array(self._asked))

    def tell(self, values: Array, lengthened: float) -> None:
        """Learn from the values of a generation; steps become longer by a factor."""
        self._es.tell(self._asked, values.tolist())
        if lengthened > 1:
            self._es.sigma *= lengthened
            self._es.opts["tolfacupx"] = np.inf  # the search does not diverge

    def ending(self) -> tuple[StopReason, str] | None:
        """Return why the search is over, if it is, and what there is to say of it."""
        reasons = self._es.stop()
        return next((_STOPS[reason] for reason in _STOPS if reason in reasons), None)
