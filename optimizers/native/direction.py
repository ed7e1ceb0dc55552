"""The direction of a line search."""

from dataclasses import dataclass

from optimizers.native.arrays import Tensor

#: The longest step of a line search where nothing else limits it, as in SciPy.
LONGEST = 1e10


@dataclass(eq=False)
class Direction:
    """A direction, where a step of 1 leads, and the derivative at the start."""

    along: Tensor
    end: Tensor
    slope: float
    #: Whether that end was cut off by a bound.
    is_cut: bool = False
