"""The table of NLopt's methods: what each supports, what it is for, and its options."""

from dataclasses import dataclass
from typing import Literal

from optimizers.errors import InvalidInputError, nearest_names
from optimizers.support import SupportLevel as Level, SupportLevels, Traits, levels

#: What a method takes as constraints: ``c(x) <= 0``, and ``c(x) = 0`` too.
_Constraints = Literal["none", "inequalities", "all"]


@dataclass(frozen=True)
class Method:
    """The properties of one method."""

    name: str
    purpose: str
    #: The options that it has besides those of all.
    options: tuple[str, ...] = ()
    constraints: _Constraints = "none"
    #: Whether it has bounds; global methods need finite ones.
    bounds: Level = Level.supported
    is_random: bool = False
    #: Whether a global method depends on the start.
    uses_start: bool = True
    #: Its method for local searches, if it needs one.
    local: str | None = None
    #: Whether it may end anywhere if the start violates a constraint: it begins again from there.
    needs_feasible: bool = False
    #: How many free variables it can have.
    least: int = 1
    most: float = float("inf")

    @property
    def is_global(self) -> bool:
        """Whether it searches beyond the nearest minimum; it then ends by a budget alone."""
        return self.name.startswith("G")

    @property
    def takes_gradient(self) -> bool:
        """Whether it uses gradients."""
        return self.name[1] == "D"

    def serves(self, method: "Method") -> bool:
        """Return whether it can be the local search of another method."""
        is_alike = self.takes_gradient == method.takes_gradient and method.local is not None
        return is_alike and not (self.is_global or self.local is not None)

    @property
    def _start(self) -> Level:
        if not self.is_global:
            return Level.required
        return Level.supported if self.uses_start else Level.ignored

    @property
    def levels(self) -> SupportLevels:
        """Its support levels."""
        return levels(
            gradient=Level.supported if self.takes_gradient else Level.ignored,
            bounds=Level.required if self.is_global else self.bounds,
            initial_point=self._start,
            constraints=(Level.not_supported if self.constraints == "none" else Level.supported),
        )

    @property
    def traits(self) -> Traits:
        """What it is for, and how it works."""
        return Traits(
            self.purpose,
            parallel=self.takes_gradient,
            global_search=self.is_global,
            random=self.is_random,
        )


_SMOOTH = "Smooth functions without gradients"
_NEWTON = "Smooth functions: truncated Newton"
_BOXES = "Many minima, few variables: divides boxes"
_STARTS = "Many minima: a local search from each cluster of"
_MANY = "Many variables and inequalities"
_STORED, _STEP = ("vector_storage",), ("initial_step",)
_DRAWN, _SEARCHED = ("population",), ("population", "local")

_ROWS = (
    Method("LD_LBFGS", "Smooth functions: limited-memory BFGS.", _STORED),
    Method("LD_VAR1", "Smooth functions: variable metric of rank 1.", _STORED),
    Method("LD_VAR2", "Smooth functions: variable metric of rank 2.", _STORED),
    Method("LD_TNEWTON", f"{_NEWTON}.", _STORED),
    Method("LD_TNEWTON_RESTART", f"{_NEWTON}, restarted.", _STORED),
    Method("LD_TNEWTON_PRECOND", f"{_NEWTON}, preconditioned.", _STORED),
    Method("LD_TNEWTON_PRECOND_RESTART", f"{_NEWTON}, preconditioned, restarted.", _STORED),
    Method("LD_MMA", f"{_MANY}: asymptotes.", (), "inequalities", needs_feasible=True),
    Method("LD_CCSAQ", f"{_MANY}: quadratics.", (), "inequalities", needs_feasible=True),
    Method("LD_SLSQP", "Smooth functions with any constraints.", (), "all"),
    Method("LD_AUGLAG", "Any constraints, as penalties.", ("local",), "all", local="LD_LBFGS"),
    Method(
        *("LD_AUGLAG_EQ", "Equalities as penalties.", ("local",), "all"),
        local="LD_MMA",
        needs_feasible=True,
    ),
    Method("LN_BOBYQA", f"{_SMOOTH}, within bounds.", _STEP),
    Method("LN_COBYLA", "Any constraints, without gradients.", _STEP, "all"),
    Method("LN_NEWUOA", f"{_SMOOTH} or bounds.", _STEP, bounds=Level.ignored, least=2),
    Method("LN_NEWUOA_BOUND", f"{_SMOOTH}, within bounds.", _STEP, least=2),
    Method("LN_PRAXIS", f"{_SMOOTH} or bounds: principal axes.", _STEP, is_random=True),
    Method("LN_NELDERMEAD", "Rough values, few variables.", _STEP),
    Method("LN_SBPLX", "Rough values: simplexes in subspaces.", _STEP),
    Method("LN_AUGLAG", "Any constraints, as penalties.", ("local",), "all", local="LN_BOBYQA"),
    Method("LN_AUGLAG_EQ", "Equalities as penalties.", ("local",), "all", local="LN_COBYLA"),
    Method("GN_DIRECT", f"{_BOXES}.", uses_start=False),
    Method("GN_DIRECT_L", f"{_BOXES}, more locally.", uses_start=False),
    Method(
        "GN_DIRECT_L_RAND",
        f"{_BOXES}, more locally, with ties at random.",
        is_random=True,
        uses_start=False,
    ),
    Method("GN_DIRECT_NOSCAL", f"{_BOXES}, in the variables' own units.", uses_start=False),
    Method(
        "GN_DIRECT_L_NOSCAL",
        f"{_BOXES}, more locally, in the variables' own units.",
        uses_start=False,
    ),
    Method(
        "GN_DIRECT_L_RAND_NOSCAL",
        f"{_BOXES}, in own units, at random.",
        is_random=True,
        uses_start=False,
    ),
    Method("GN_ORIG_DIRECT", f"{_BOXES}; inequalities.", (), "inequalities", uses_start=False),
    Method(
        "GN_ORIG_DIRECT_L",
        f"{_BOXES}, more locally; inequalities.",
        (),
        "inequalities",
        uses_start=False,
    ),
    Method(
        "GN_AGS",
        "Many minima, up to 10 variables; inequalities.",
        (),
        "inequalities",
        most=10,
        uses_start=False,
    ),
    Method("GN_CRS2_LM", "Many minima: random simplexes.", _DRAWN, is_random=True),
    Method("GN_ESCH", "Many minima: an evolution strategy.", _DRAWN, is_random=True),
    Method("GN_ISRES", "Many minima, any constraints.", _DRAWN, "all", is_random=True),
    Method("GN_MLSL", f"{_STARTS} random points.", _SEARCHED, is_random=True, local="LN_BOBYQA"),
    Method("GN_MLSL_LDS", f"{_STARTS} quasi-random points.", _SEARCHED, local="LN_BOBYQA"),
    Method("GD_MLSL", f"{_STARTS} random points.", _SEARCHED, is_random=True, local="LD_LBFGS"),
    Method("GD_MLSL_LDS", f"{_STARTS} quasi-random points.", _SEARCHED, local="LD_LBFGS"),
    Method(
        "GD_STOGO", "Many minima, few variables: branch and bound by gradients.", uses_start=False
    ),
    Method(
        "GD_STOGO_RAND",
        "Many minima, few variables: StoGO at random.",
        is_random=True,
        uses_start=False,
    ),
)
#: Every method that the package has for continuous variables, by its name there.
METHODS = {row.name: row for row in _ROWS}


def named(name: str) -> Method:
    """Return the method of a name, in any case, or raise an error that names the nearest one."""
    found = METHODS.get(name.upper().replace("-", "_").removeprefix("NLOPT_"))
    if found is None:
        raise InvalidInputError(f"NLopt has no method {name!r}. {nearest_names(name, METHODS)}")
    return found
