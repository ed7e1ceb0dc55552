"""What :func:`vectorized` returns, and what it leaves as it is."""

import copy
import functools
import pickle

import cloudpickle
import numpy as np
import pytest

from optimizers import LBFGSB, NELDER_MEAD, Optimizer, vectorized


def either(points):
    """Take one point or a stack, as a QNode does."""
    SHAPES.append(points.shape)
    return (points**2).sum(axis=-1)


SHAPES = []


@vectorized
def decorated(points):
    """Sum up."""
    return either(points)


class Model:
    scale = 2.0

    def energy(self, points):
        return self.scale * either(points)

    @vectorized
    def stacked(self, points):
        return self.energy(points)

    __call__ = energy


class Stacks(Model):
    @vectorized
    def __call__(self, points):
        return self.energy(points)


@vectorized
class Marked(Model):
    pass


def with_self(self, points):
    return self.energy(points)


class Borrowed(Model):
    with_self = vectorized(with_self)


model = Model()
PLAIN = {
    "function": either,
    "lambda": lambda points: either(points),
    "method": model.energy,
    "object": model,
    "partial": functools.partial(Model.energy, model),
    "with arguments": Optimizer.wrap_function(either, ()),
}
MARKED = {
    **{name: vectorized(fun) for name, fun in PLAIN.items()},
    "decorated": decorated,
    "decorated method": model.stacked,
    "decorated call": Stacks(),
    "decorated class": Marked(),
    "borrowed method": Borrowed().with_self,
    "twice": vectorized(vectorized(either)),
}


def are_stacks(fun):
    """Return whether a run hands stacks of points to an objective."""
    SHAPES.clear()
    assert NELDER_MEAD(maxiter=3).minimize(fun, [1.0, 2.0]).nfev > 1
    (kinds,) = {len(shape) for shape in SHAPES}
    return kinds == 2


@pytest.mark.parametrize("name", PLAIN)
def test_the_objective_itself_takes_one_point_as_before(name):
    assert are_stacks(MARKED[name])
    assert not are_stacks(PLAIN[name])
    assert not are_stacks(copy.copy(PLAIN[name]))


@pytest.mark.parametrize("name", MARKED)
def test_it_is_pickled_and_copied_with_its_mark(name):
    fun = MARKED[name]
    ways = [copy.copy, copy.deepcopy, lambda fun: cloudpickle.loads(cloudpickle.dumps(fun))]
    if name != "lambda":  # which pickle does not take, marked or not
        ways.append(lambda fun: pickle.loads(pickle.dumps(fun)))
    for way in ways:
        again = way(fun)
        SHAPES.clear()
        assert again(np.ones((3, 2))).tolist() == fun(np.ones((3, 2))).tolist()
    # By value it brings globals of its own: those of the test see nothing.
    assert are_stacks(ways[-1](fun)) or name == "lambda"


def test_it_has_what_the_objective_has():
    assert vectorized(either).__doc__ == either.__doc__
    assert vectorized(either).__name__ == "either"
    assert vectorized(model).scale == 2.0
    with pytest.raises(AttributeError):
        vectorized(model).no_such_thing  # noqa: B018  # it raises
    assert decorated.__doc__ == "Sum up."


def test_workers_take_it():
    wrapped = vectorized(either)
    result = LBFGSB(workers=2, maxiter=2).minimize(wrapped, [1.0, 2.0])
    assert result.fun == pytest.approx(0.0, abs=1e-9)


def test_a_gradient_is_marked_likewise():
    def gradient(points):
        shapes.append(points.shape)
        return 2 * points

    shapes = []
    starts = [[1.0, 2.0], [3.0, 4.0]]
    LBFGSB(maxiter=2).minimize_many(decorated, starts, vectorized(gradient))
    assert shapes[0] == (2, 2)
    shapes.clear()
    LBFGSB(maxiter=2).minimize_many(decorated, starts, gradient)
    assert set(shapes) == {(2,)}
