import numpy as np
import pytest

from optimizers import COBYLA, COBYQA, LBFGSB, StepperError
from optimizers.asktell.drivers import check_free, held


class Alone(LBFGSB):
    def _alone(self):
        return "this"


def sphere(x):
    return float(x @ x)


STARTS = np.array([[1.0, 2.0], [3.0, -1.0], [0.5, 0.5]])


def test_runs_of_which_only_one_may_be_under_way_go_one_after_another():
    results = Alone().minimize_many(sphere, STARTS)
    alone = [LBFGSB().minimize(sphere, start) for start in STARTS]
    assert [r.x.tolist() for r in results] == [r.x.tolist() for r in alone]
    assert results.rounds == sum(result.rounds for result in results)


def test_another_run_is_a_named_error_while_one_is_held():
    run, other = object(), object()

    def solve():
        check_free("this", run)
        with pytest.raises(StepperError, match="THIS"):
            check_free("this", other)
        with pytest.raises(StepperError):
            held("this", other, solve)()
        return 7

    assert held("this", run, solve)() == 7
    check_free("this", other)
    assert held(None, run, lambda: 8)() == 8


@pytest.mark.parametrize("cls", [COBYLA, COBYQA])
def test_runs_behind_scipys_locks_do_not_wait_for_each_other(cls):
    results = cls().minimize_many(sphere, STARTS, maxfun=30)
    for start, result in zip(STARTS, results, strict=True):
        assert np.array_equal(result.x, cls().minimize(sphere, start, maxfun=30).x)
