"""Values near the largest number: no algorithm asks at NaN or an infinity because of them."""

import sys

import numpy as np
import pytest

from optimizers import InvalidInputError, NonFiniteValueError, SupportLevel
from tests.making import make, of_values

LARGEST = sys.float_info.max


def value(x, penalty):
    return float((x[0] - 2) ** 2 + (x[1] + 1) ** 2) if x[0] <= 0.5 else penalty


def gradient(x, penalty):
    return np.array([2 * (x[0] - 2), 2 * (x[1] + 1)]) if x[0] <= 0.5 else np.array([penalty, 0.0])


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid value")  # in SciPy, and steps
@pytest.mark.parametrize("penalty", [LARGEST, 1e160, -1e300])
@pytest.mark.parametrize("way", ["values", "jac", "bounds", "reject"])
@pytest.mark.parametrize("cls", of_values().values(), ids=lambda cls: cls.__name__)
def test_each_point_is_finite(cls, way, penalty):
    points = []
    levels = make(cls).get_support_level()
    more = {}
    if levels["gradient"] == SupportLevel.required or (way == "jac" and levels["gradient"] > 1):
        more["jac"] = lambda x: points.append(x.copy()) or gradient(x, penalty)
    if levels["hessian"] == SupportLevel.required:
        more["hess"] = lambda x: 2 * np.eye(2)
    if way == "bounds" and levels["bounds"] > 1:
        more["bounds"] = [(-4, 4)] * 2
    if way == "reject":
        more["on_failure"] = "reject"
    try:
        result = make(cls).minimize(
            lambda x: points.append(x.copy()) or value(x, penalty), [0.0, 0.0], maxfun=150, **more
        )
    # Of differences of values that differ by too much, and of SciPy's own arithmetic.
    except (NonFiniteValueError, InvalidInputError) as error:
        result = error.optimizer_result
    assert np.isfinite(points).all()
    assert np.isfinite(result.x).all()
    assert result.fun == value(result.x, penalty)
