import copy
import json
import math
import pickle

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as hnp
from scipy.optimize import OptimizeResult
from scipy.sparse.linalg import LinearOperator

from optimizers import LBFGSB, P_BFGS, Best, OptimizerResult, StopReason

FLOATS = st.floats(width=64)
VECTORS = hnp.arrays(np.float64, st.integers(0, 5), elements=FLOATS)


def example(**entries):
    return OptimizerResult(
        x=np.array([1.0, 2.0]),
        fun=0.5,
        jac=np.array([0.0, 1e-9]),
        nfev=7,
        njev=0,
        nhev=0,
        nit=3,
        nrejected=0,
        success=True,
        status=0,
        message="done",
        stop=StopReason.GRADIENT,
        best=Best(np.array([1.0, 2.0]), 0.5),
        elapsed=0.25,
        **entries,
    )


def same(left, right):
    """Equality that knows arrays and takes NaN for equal to NaN."""
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[k], right[k]) for k in left)
    if isinstance(left, Best):
        return same(left.x, right.x) and same(left.fun, right.fun)
    if isinstance(left, np.ndarray):
        return np.array_equal(left, right, equal_nan=left.dtype.kind == "f")
    if isinstance(left, float) and math.isnan(left):
        return math.isnan(right)
    return left == right


def test_entries_are_attributes_and_items():
    result = example()
    assert result.fun == result["fun"] == 0.5
    assert "nfev" in result
    assert dict(result)["nit"] == 3
    result.nit = 4
    assert result["nit"] == 4
    result["nit"] = 5
    assert result.nit == 5
    assert {"x", "fun", "stop"} <= set(dir(result))
    with pytest.raises(AttributeError, match="nonsense"):
        _ = result.nonsense


def test_it_is_one_of_scipys_results():
    assert isinstance(example(), OptimizeResult)


def test_repr_has_a_line_for_each_entry_and_says_why_the_run_ended():
    lines = repr(example(hess_inv=np.eye(2))).splitlines()
    assert len(lines) == len(example()) + 1
    by_name = {name.strip(): text for name, text in (line.split(": ", 1) for line in lines)}
    assert by_name["stop"] == f"GRADIENT ({StopReason.GRADIENT.sentence})"
    assert by_name["x"] == "[1. 2.]"
    assert by_name["fun"] == "0.5"
    assert by_name["message"] == "done"
    assert by_name["best"] == "fun=0.5 at x=[1. 2.]"
    assert by_name["hess_inv"] == "[[1. 0.] [0. 1.]]"
    assert len({line.index(":") for line in lines}) == 1


def test_repr_of_a_long_vector_is_short():
    result = OptimizerResult(x=np.arange(10**5, dtype=float))
    assert len(repr(result)) < 100
    assert repr(OptimizerResult()) == "OptimizerResult()"


def test_repr_without_any_evaluation():
    assert "fun: None" in repr(OptimizerResult(fun=None, best=None))


RESULTS = st.builds(
    OptimizerResult,
    x=VECTORS,
    fun=st.none() | FLOATS | FLOATS.map(np.float64),
    jac=st.none() | VECTORS,
    nfev=st.integers(0, 10**12) | st.integers(0, 1000).map(np.int64),
    success=st.booleans() | st.booleans().map(np.bool_),
    status=st.integers(-5, 5),
    message=st.text(),
    stop=st.sampled_from(StopReason),
    best=st.none() | st.builds(Best, VECTORS, FLOATS),
    elapsed=FLOATS,
    hess_inv=hnp.arrays(np.float64, st.tuples(st.integers(1, 3), st.integers(1, 3))),
)


@given(RESULTS)
@settings(deadline=None, max_examples=80)
def test_round_trip_through_json_gives_an_equal_result(result):
    plain = result.to_dict()
    before = copy.deepcopy(plain)
    again = OptimizerResult.from_dict(json.loads(json.dumps(plain)))
    assert type(again) is OptimizerResult
    assert same(dict(result), dict(again))
    assert again.stop is result.stop
    assert again.x.dtype == np.float64
    OptimizerResult.from_dict(plain)
    assert same(plain, before)


@given(RESULTS)
@settings(deadline=None, max_examples=30)
def test_the_plain_dict_shares_nothing_with_the_result(result):
    plain = result.to_dict()
    before = copy.deepcopy(dict(result))
    plain["x"].append(1.0)
    if plain["best"] is not None:
        plain["best"]["x"].append(1.0)
    assert same(dict(result), before)


def test_entries_without_a_json_form_are_named():
    operator = LinearOperator((2, 2), matvec=lambda v: v)
    result = example(hess_inv=operator, phases=np.array([1j]))
    plain = json.loads(json.dumps(result.to_dict()))
    assert sorted(plain["omitted"]) == ["hess_inv", "phases"]
    assert "hess_inv" not in plain
    again = OptimizerResult.from_dict(plain)
    assert again.fun == result.fun
    assert sorted(again.omitted) == ["hess_inv", "phases"]


def test_a_second_round_trip_changes_nothing():
    once = example(hess_inv=LinearOperator((2, 2), matvec=lambda v: v)).to_dict()
    assert OptimizerResult.from_dict(once).to_dict() == once


def test_a_real_result_of_every_entry_goes_through_json():
    result = LBFGSB().minimize(lambda x: float(((x - 1.0) ** 2).sum()), [3.0, 0.0])
    again = OptimizerResult.from_dict(json.loads(json.dumps(result.to_dict())))
    kept = {name: value for name, value in result.items() if name in again}
    assert {"x", "fun", "jac", "nfev", "stop", "best", "elapsed"} <= set(kept)
    assert same(kept, {name: again[name] for name in kept})


def test_results_inside_a_result_go_through_json():
    result = P_BFGS(seed=1, maxiter=1).minimize(lambda x: float(((x - 1) ** 2).sum()), [3.0, 0.0])
    plain = json.loads(json.dumps(result.to_dict()))
    again = OptimizerResult.from_dict(plain)
    assert len(again.results) == len(result.results) > 1
    for one, other in zip(again.results, result.results, strict=True):
        assert isinstance(one, OptimizerResult)
        assert (one.fun, one.stop, one.best.fun) == (other.fun, other.stop, other.best.fun)
        assert np.array_equal(one.x, other.x)
        assert one.omitted == ["hess_inv"]
    assert again.to_dict() == plain


@pytest.mark.parametrize(
    "copied",
    [copy.copy, copy.deepcopy, *(lambda r, p=p: pickle.loads(pickle.dumps(r, p)) for p in (2, 5))],
    ids=["copy", "deepcopy", "pickle 2", "pickle 5"],
)
def test_copies_are_equal_results(copied):
    result = example(hess_inv=np.eye(2))
    again = copied(result)
    assert type(again) is OptimizerResult
    assert same(dict(again), dict(result))
    assert again.stop is StopReason.GRADIENT
    assert isinstance(again.best, Best)


def test_a_deep_copy_shares_no_array():
    result = example()
    again = copy.deepcopy(result)
    again.x[:] = -1.0
    again.best.x[:] = -1.0
    assert same(dict(result), dict(example()))


def test_every_reason_has_a_sentence_of_its_own_and_is_found_by_its_value():
    sentences = [reason.sentence for reason in StopReason]
    assert len(set(sentences)) == len(sentences)
    for reason in StopReason:
        assert StopReason(reason.value) is reason
        assert " " in reason.sentence
        assert not reason.sentence.endswith(".")


def test_limits_that_the_user_set_are_told_from_other_reasons():
    budgets = {reason for reason in StopReason if reason.is_budget}
    paid = {StopReason.MAXFUN, StopReason.MAXSHOTS, StopReason.MAXJOBS}
    assert budgets == paid | {StopReason.MAXITER, StopReason.TIMEOUT}


def test_an_entry_that_is_absent_is_an_error_that_names_the_nearest():
    result = OptimizerResult(x=np.zeros(1), success=True)
    with pytest.raises(AttributeError, match=r"no entry 'succes'\. Did you mean 'success'"):
        _ = result.succes
    with pytest.raises(AttributeError, match=r"no entry 'params'\. Known: success, x"):
        _ = result.params
    assert not hasattr(result, "__array__")
    assert copy.deepcopy(result).success
