import functools

import numpy as np

from optimizers.external.sameness import Sameness

SCALE = 2.0


def make(thing, function=None):
    return lambda: (thing, function and function(), SCALE)


def same(a, b):
    return Sameness([a]) == Sameness([b])


def test_fresh_functions_are_the_same_by_what_they_refer_to():
    array, thing = np.arange(3), object()
    for value in (1, "a", None, np.nan, array, [array, {"a": (thing,)}], thing):
        assert same(make(value), make(value))
    assert same(make(array), make(array.copy()))
    assert same(make([1, {"a": 2}]), make([1, {"a": 2}]))
    assert same(functools.partial(make(1), 2), functools.partial(make(1), 2))


def test_functions_that_refer_to_something_else_are_not():
    array = np.arange(3)
    for a, b in [
        (1, 1.0),
        (0.0, -0.0),
        (array, array + 1),
        (array, array.astype(float)),
        (array, array[:, None]),
        ([1], [2]),
        ({"a": 1}, {"b": 1}),
        (object(), object()),
    ]:
        assert not same(make(a), make(b))
    assert not same(make(1), lambda: (1, None, SCALE))
    assert not same(functools.partial(make(1), 2), functools.partial(make(1), 3))


def test_globals_and_functions_that_are_called(monkeypatch):
    before = Sameness([make(1)])
    assert before == Sameness([make(1)])
    monkeypatch.setitem(globals(), "SCALE", 3.0)
    assert before != Sameness([make(1)])
    assert same(make(1, make(2)), make(1, make(2)))
    assert not same(make(1, make(2)), make(1, make(3)))


def test_attributes_of_an_object_count():
    class Model:
        rate = 1.0

        def loss(self):
            return self.rate

    model = Model()
    before, bound = Sameness([make(model)]), Sameness([model.loss])
    assert before == Sameness([make(model)])
    assert bound == Sameness([model.loss])
    model.rate = 2.0
    assert before != Sameness([make(model)])
    assert bound != Sameness([model.loss])


def test_what_a_function_changes_itself_does_not_count():
    calls, count = [], 0

    def function():
        nonlocal count
        calls.append(count)
        count += 1

    sameness = Sameness([function])
    function()
    sameness.settle()
    assert sameness == Sameness([function])
    function()
    assert sameness == Sameness([function])


def test_what_refers_to_itself():
    def function():
        return function, loop

    loop = []
    loop.append(loop)
    assert same(function, function)
