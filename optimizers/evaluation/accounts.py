"""What the evaluations of a wave may cost besides one of each point: one purse, or several."""

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray
from typing_extensions import override

if TYPE_CHECKING:
    from optimizers.evaluation.wave import Block


class Account:
    """A purse for a wave, from which points are evaluated once more.

    Parameters
    ----------
    spare : float, default inf
        How many evaluations may be made besides one of each point.

    Examples
    --------
    >>> from optimizers.evaluation.wave import Block
    >>> account, block = Account(3), Block(np.zeros((4, 1)))
    >>> account.grants(block, slice(0, 2)), account.grants(block, slice(2, 4))
    (True, False)
    """

    def __init__(self, spare: float = math.inf) -> None:
        self._spare = spare

    def grants(self, block: "Block", part: slice) -> bool:
        """Return whether rows may be evaluated once more, and take it from the purse if so."""
        cost = part.stop - part.start if block.cost else 0
        if self._spare < cost:
            return False
        self._spare -= cost
        return True


class SharedAccount(Account):
    """The purses of several runs whose points travel in one wave, and one over all.

    Parameters
    ----------
    spares : array_like
        What each purse has.
    total : float, default inf
        What there is for all together.
    """

    def __init__(self, spares: ArrayLike, total: float = math.inf) -> None:
        super().__init__(total)
        self._spares: NDArray[np.float64] = np.array(spares, dtype=np.float64)

    @override
    def grants(self, block: "Block", part: slice) -> bool:
        if not block.cost:
            return True
        costs = np.bincount(block.owners[part], minlength=len(self._spares))
        if (costs > self._spares)[costs > 0].any() or not super().grants(block, part):
            return False
        self._spares -= costs
        return True


def account_of(spare: float | Account) -> Account:
    """Return the account that is meant by what may be spent."""
    return spare if isinstance(spare, Account) else Account(spare)
