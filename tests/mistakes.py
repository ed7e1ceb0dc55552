"""Random mistakes of callers, as lines of Python; each has to end in a named error, or be right.

``python -m tests.mistakes 20000`` tries so many and lists, by the place that failed, those that end
in a raw error, in a named one only after evaluations, or with a result that is wrong; a second
number is the first seed. A line has the package's public names, and those of ``NAMES``.
"""

import contextlib
import datetime
import decimal
import fractions
import inspect
import io
import os
import pathlib
import random
import re
import sys
import tempfile
import traceback
import warnings
from collections import defaultdict
from typing import Any

import numpy as np
import scipy.optimize
import scipy.sparse

import optimizers
from optimizers import EvaluationError, OptimizerError, OptimizerResult, TooLargeError
from tests.making import fidelity, of_values

#: The most evaluations of a line, and the seconds after which it hangs.
MOST, SECONDS = 5000, 60
#: What may be known only in a run: what functions return, and how much memory it takes.
LATE = (EvaluationError, TooLargeError)
#: How often the functions below were called.
calls = 0


class UsersError(Exception):
    """What a user's own function raises: it comes out as it is."""

    def __str__(self) -> str:
        raise ZeroDivisionError("not even its words can be had")


def fun(x: Any, *args: object) -> float:
    """Return the height of a bowl; its minimum is 1, at (1, 1, ...)."""
    global calls
    calls += 1
    if calls > MOST:
        raise UsersError
    return float(((np.asarray(x) - 1) ** 2).sum()) + 1.0


def jac(x: Any, *args: object) -> Any:
    return 2 * (np.asarray(x) - 1)


def hess(x: Any, *args: object) -> Any:
    return 2 * np.eye(len(x))


def hessp(x: Any, p: Any, *args: object) -> Any:
    return 2 * p


def total(x: Any) -> float:
    return float(np.sum(x))


def returns(value: Any) -> Any:
    """Return a function that returns a value, whatever it is given."""

    def function(*given: object, **named: object) -> Any:
        global calls
        calls += 1
        return value

    return function


def raises(error: BaseException) -> Any:
    """Return a function that raises, whatever it is given."""

    def function(*given: object, **named: object) -> Any:
        raise error

    return function


NAMES: dict[str, Any] = {
    **{name: getattr(optimizers, name) for name in optimizers.__all__},
    **{f.__name__: f for f in (fun, jac, hess, hessp, fidelity, total, returns, raises)},
    **{"UsersError": UsersError, "np": np, "Path": pathlib.Path, "datetime": datetime},
    **{"Decimal": decimal.Decimal, "Fraction": fractions.Fraction},
    **{"so": scipy.optimize, "sparse": scipy.sparse, "nan": np.nan, "inf": np.inf},
}


def _listed(text: str) -> list[str]:
    """Return the values in a text; none has a blank in it."""
    return text.split()


NUMBERS = _listed("""
    0 1 2 3 7 -1 -2 True False 0.0 -0.0 0.5 1.0 2.0 20.0 2.5 -1.5 1e-12 1e-300 5e-324 1e10 1e30
    1e308 nan inf -inf 10**400 -10**400 2**31 2**63 2**64 1j np.int64(2) np.uint8(3) np.int8(-1)
    np.float64(20) np.float64(2.5) np.float32(0.5) np.float16(3) np.longdouble(2) np.bool_(True)
    np.complex128(1) np.array(2) np.array(2.5) np.array([3]) np.array([[2.0]]) Fraction(1,2)
    Decimal(2) Decimal('nan') np.timedelta64(5,'s') np.datetime64('2020') np.ma.masked
""")
OBJECTS = _listed(r"""
    None '' 'x' '1' 'auto' 'always' 'estimate' b'x' '2-point' 'cs' 'a\0b' [] () {} set() object()
    ... NotImplemented fun len type print np np.float64 range(3) range(0) iter([1]) slice(3)
    map(float,range(3)) {1:2} {'a':1} {'a':object()} {None:None} Path('p') StopReason.MAXFUN
    datetime.timedelta(seconds=1) UsersError() UsersError memoryview(b'ab') bytearray(b'ab')
    raises(UsersError()) returns(None) returns(2)
""")
ARRAYS = _listed("""
    [1] [1,2] [1,2,3] [0.1,0.2,0.3] (1,2,3) [1,2,3,4] [nan,1,2] [inf,1,2] [1,None,2] [1,'a',2]
    ['1','2','3'] [[1,2],[3]] [[1,2,3]] [[1],[2],[3]] [1j,1,1] [True,False,True] [10**400,1,1]
    np.zeros(3) np.ones(3) -np.ones(3) np.zeros(0) np.zeros((3,3)) np.eye(3) np.zeros((3,2))
    np.zeros((2,3)) np.zeros((1,3)) np.zeros((3,1)) np.zeros((4,3)) np.zeros((3,3,3)) np.ones(4)
    np.array([1,2,3]) np.array(['a','b','c']) np.array([None,1,2]) np.full(3,nan)
    np.array([1,2,3],'m8[s]') np.array([1,2,3],'M8[D]') np.array([1,2,3],object)
    np.ma.array([1.0,2,3],mask=[0,1,0]) np.ma.array([1.0,2,3]) np.matrix([1.0,2,3]) sparse.eye(3)
    sparse.csr_array(np.eye(3)) np.array([(1,2.0)],'i4,f8') np.ones(3,np.float16) np.ones(3)*1e300
    so.Bounds(0,1) so.Bounds([0,0],[1,1]) so.BFGS() so.SR1() [(0,1)]*3 [(0,1)]*2
    so.LinearConstraint([[1,1,1]],0,1) so.LinearConstraint([[1,1]],0,1) [(0,None)]*3 [(1,0)]*3
    so.NonlinearConstraint(total,0,1) [(nan,1)]*3 [('a','b')]*3 [(0,1,2)]*3 [0,1] (0,1) [None]*3
    [[]] [()]*3 np.ma.array([[0,1]]*3,mask=[[0,1]]*3)
""")
#: What is put for a word with a dollar sign, besides ``$junk``.
POOLS = {
    "array": ARRAYS,
    "quiet": [*ARRAYS, *(o for o in OBJECTS if "UsersError" not in o), "nan", "0", "2.5", "1j"],
    "returned": [
        *(f"returns({value})" for value in (*NUMBERS, *OBJECTS, *ARRAYS)),
        *("raises(UsersError())", "raises(StopIteration())", "lambda: 0", "lambda x: x"),
        *("lambda x: list(x)", "lambda x: (0.0, x)", "lambda a, b: 0.0", "lambda x, *, k: 0"),
    ],
    "search": _listed("optimizer sampler slots jac tolerance agreement seed"),
    "option": _listed("maxfun ftol maxcor eps x"),
}
CONSTRAINTS = """
    so.LinearConstraint($array, 0, 1)
    so.LinearConstraint([[1.0, 1, 1]], $junk, inf)
    so.NonlinearConstraint($returned, 0, 1)
    so.NonlinearConstraint(total, $junk, 9)
    so.NonlinearConstraint(total, -9, 9, jac=$returned)
    so.NonlinearConstraint(total, -9, 9, hess=$returned)
    so.NonlinearConstraint(total, -9, 9, jac=$junk, hess=$junk)
    so.NonlinearConstraint(total, -9, 9, keep_feasible=$junk)
    so.NonlinearConstraint(total, -9, 9, finite_diff_rel_step=$junk)
    {'type': 'ineq', 'fun': $returned}
    {'type': $junk, 'fun': total}
    {'type': 'eq', 'fun': $junk, 'jac': $junk}
    {'type': 'eq', 'fun': total, 'jac': $returned}
    {'type': 'ineq', 'fun': total, 'args': $junk}
    [{'type': 'ineq', 'fun': total}, $junk]
    $junk
"""
STEPPERS = """
    $made.tell($junk, TellData($junk))
    (s := $made).tell(s.ask(), $junk)
    (s := $made).tell(s.ask(), TellData($junk, $junk))
    (s := $made).tell(s.ask(), TellData($junk, [[1.0, 2, 3]]))
    (s := $made).tell(s.ask(), TellData([1.0], $junk))
    (s := $made).tell(s.ask(), TellData([1.0], [[1.0, 2, 3]], rows=$junk))
"""
MANY = """
    $made.minimize_many(fun, $junk, maxfun=40)
    $made.minimize_many(fun, [$junk, $junk], maxfun=40)
    $made.minimize_many(fun, [[1.0, 2], [0, 1]], bounds=$junk, maxfun=40)
    $made.minimize_many(fun, [[1.0, 2], [0, 1]], on_error=$junk, maxfun=40)
    $made.minimize_many(fun, [[1.0, 2], [0, 1]], seed=$junk, maxfun=40)
    $made.minimize_many(fun, [[1.0, 2], [0, 1]], eval_timeout=$junk, retries=$junk, maxfun=40)
    $made.minimize_many($returned, [[1.0, 2], [0, 1]], maxfun=40)
    $made.stepper($junk, jac=$junk)
    $made(fun, [0.5, -0.3, 0.2], args=$junk, maxfun=40)
"""
ELSEWHERE = """
    multistart(fun, $junk, 60)
    multistart(fun, [(-2, 2)] * 2, $junk)
    multistart(fun, [(-2, 2)] * 2, 60, $search=$junk)
    race($junk, fun, [0.5, 0.2])
    race([LBFGSB(), $junk], fun, [0.5, 0.2])
    race([LBFGSB(), NELDER_MEAD()], fun, $junk, budget=60)
    race([LBFGSB(), NELDER_MEAD()], fun, [0.5, 0.2], budget=$junk)
    race({$quiet: LBFGSB()}, fun, [0.5, 0.2], budget=60)
    race([LBFGSB()], fun, [0.5, 0.2], budget=60, max_evals_grouped=$junk)
    find($junk)
    load($junk)
    Journal($junk)
    Journal('j', fsync=$junk)
    LBFGSB().minimize(fun, [0.5], journal=Journal('new', notes=$junk))
    LBFGSB().minimize(fun, [0.5], journal=$quiet)
    SciPyOptimizer($junk)
    SciPyOptimizer('bfgs', options=$junk).minimize(fun, [0.5])
    SciPyOptimizer('bfgs', {'gtol': $junk}).minimize(fun, [0.5])
    SciPyOptimizer($returned, options={'a': 1}).minimize(fun, [0.5])
    LBFGSB().set_options($option=$junk)
    LBFGSB().set_max_evals_grouped($junk)
    LBFGSB(max_evals_grouped=$junk).minimize(fun, [0.5])
    ADAM().load_params($junk)
    ADAM(moments=$junk).minimize(fun, [0.5], maxfun=40)
    setattr(SPSA(), 'maxiter', $junk)
    setattr(SPSA(), 'callback', $junk)
    LBFGSB().minimize(fun, [0.5, 1, 2], jac=Differences($junk))
    LBFGSB().minimize(fun, [0.5, 1, 2], jac=Differences(step=$junk))
    LBFGSB().minimize(fun, [0.5, 1, 2], jac=Differences('3-point', relative_step=$junk))
    LBFGSB().minimize(fun, [0.5, 1, 2], jac=Differences(noise=$junk, curvature=$junk))
    LBFGSB().minimize(fun, [0.5, 1, 2], jac=Differences('3-point', richardson=$junk))
    LBFGSB().minimize(fun, [0.5, 1, 2], jac=ParameterShift($junk), maxfun=40)
    LBFGSB().minimize(fun, [0.5, 1, 2], jac=ParameterShift(frequencies=$junk), maxfun=40)
    LBFGSB().minimize(fun, [0.5, 1, 2], jac=SPSAGradient($junk), maxfun=40)
    LBFGSB().minimize(fun, [0.5, 1, 2], jac=SPSAGradient(step=$junk), maxfun=40)
    LBFGSB().minimize(vectorized($returned), [0.5, 1, 2], maxfun=40)
    LBFGSB.gradient_num_diff($junk, fun, $junk)
    OptimizerResult.from_dict($junk)
    SteppableOptimizer(LBFGSB()).minimize(fun, $junk, maxfun=40)
    SteppableOptimizer($junk)
    plot_convergence($quiet)
    Progress($quiet)
"""


def _filled(template: str, rng: random.Random) -> str:
    """Return a line with something in the place of each word with a dollar sign."""

    def chosen(match: re.Match[str]) -> str:
        word = match[1]
        value = rng.choice(POOLS[word] if word in POOLS else rng.choice([NUMBERS, OBJECTS, ARRAYS]))
        return rng.choice([value] * 8 + [f"[{value}]", f"({value}, {value})"] * (word == "junk"))

    return re.sub(r"\$(\w+)", chosen, template)


class Lines:
    """Makes lines with a mistake or two."""

    def __init__(self) -> None:
        skipped = ("options", "journal", "workers", "snapshot_dir")
        #: The options and settings of each class, as its docstring lists them, and its levels.
        self.options: dict[str, list[str]] = {}
        self.levels = {}
        for name, cls in of_values().items():
            listed = re.findall(r"^(\w+) : ", cls.__doc__ or "", re.M)
            self.options[name] = [option for option in listed if option not in skipped]
            self.levels[name] = cls().get_support_level()
        self.settings = re.findall(r"^(\w+) : ", optimizers.RunSettings.__doc__ or "", re.M)
        kinds = {self.option: 8, self.setting: 3, self.problem: 5, self.returned: 4, self.face: 3}
        kinds |= {self.constraints: 3, self.stepper: 2, self.many: 2, self.elsewhere: 4}
        self._kinds = [kind for kind, count in kinds.items() for _ in range(count)]

    def one(self, seed: int) -> str:
        """Return the line of a seed."""
        rng = random.Random(seed)
        return _filled(rng.choice(self._kinds)(rng), rng)

    def _name(self, rng: random.Random, what: str = "", least: int = 2) -> str:
        """Return a class that takes something."""
        return rng.choice([n for n in self.options if self.levels[n].get(what, 3) >= least])

    def _made(self, name: str, options: str = "") -> str:
        given = {"QNSPSA": "fidelity, ", "QNG": "fidelity=fidelity, "}.get(name, "")
        return f"{name}({given}{options})"

    def _call(self, name: str, rng: random.Random, options: str = "", **given: str) -> str:
        """Return a call that is right but for what is given."""
        levels, problem = self.levels[name], {"fun": "fun", "x0": "[0.5, -0.3, 0.2]"}
        if levels["gradient"] == 3 or (levels["gradient"] == 2 and rng.random() < 0.3):
            problem["jac"] = "jac"
        if levels["hessian"] == 3:
            problem["hess"] = "hess"
        if levels["bounds"] >= 2 and rng.random() < 0.15:
            problem["bounds"] = "[(-2, 2)] * 3"
        problem |= {"maxfun": "40", "seed": "1", **given}
        arguments = ", ".join(f"{key}={value}" for key, value in problem.items())
        return f"{self._made(name, options)}.minimize({arguments})"

    def option(self, rng: random.Random) -> str:
        name = self._name(rng)
        named = rng.sample(self.options[name], rng.choice([1, 1, 1, 2]))
        options = ", ".join(f"{option}=$junk" for option in named)
        within = ("options=$junk", f"options={{'{named[0]}': $junk}}")
        return self._call(name, rng, rng.choice([options] * 18 + [*within]))

    def setting(self, rng: random.Random) -> str:
        setting = rng.choice(self.settings)
        value = "$quiet" if setting in ("workers", "journal") else "$junk"
        return self._call(self._name(rng), rng, **{setting: value})

    def problem(self, rng: random.Random) -> str:
        which = rng.choice(["fun", "x0", "x0", "jac", "bounds", "bounds", "hess", "hessp"])
        return self._call(self._name(rng), rng, **{which: "$junk"})

    def returned(self, rng: random.Random) -> str:
        reject = {"on_failure": "'reject'"} if rng.random() < 0.1 else {}
        which = rng.choice(["fun", "jac", "hess", "hess", "hessp", "hessp", "callback", "joint"])
        if which == "joint":
            name = self._name(rng, "gradient")
            return self._call(name, rng, fun="returns(($junk, $junk))", jac="True", **reject)
        wanted = {"jac": "gradient", "hess": "hessian", "hessp": "hessian"}.get(which, "")
        given = {"jac": "jac"} if wanted == "hessian" else {}
        given |= {"hess": "None"} if which == "hessp" else {}
        return self._call(self._name(rng, wanted), rng, **given, **{which: "$returned"}, **reject)

    def constraints(self, rng: random.Random) -> str:
        constraint = rng.choice(CONSTRAINTS.strip().splitlines()).strip()
        return self._call(self._name(rng, "constraints"), rng, constraints=constraint)

    def _about(self, made: str, templates: str, rng: random.Random) -> str:
        return rng.choice(templates.strip().splitlines()).strip().replace("$made", made)

    def stepper(self, rng: random.Random) -> str:
        name = rng.choice([n for n in self.options if self.levels[n]["hessian"] < 3])
        made = f"{self._made(name)}.stepper([0.5, -0.3, 0.2], jac=True, maxfun=40)"
        return self._about(made, STEPPERS, rng)

    def many(self, rng: random.Random) -> str:
        name = rng.choice([n for n in self.options if self.levels[n]["gradient"] < 3])
        return self._about(self._made(name), MANY, rng)

    def elsewhere(self, rng: random.Random) -> str:
        return self._about("", ELSEWHERE, rng)

    def face(self, rng: random.Random) -> str:
        face = rng.choice(["fmin_l_bfgs_b", "fmin_tnc", "minimize_lbfgsb", "minimize_tnc"])
        names = list(inspect.signature(NAMES[face]).parameters)
        given = {names[0]: "fun", "x0": "[0.5, -0.3, 0.2]", "maxfun": "40"}
        given |= {"approx_grad": "True"} if "approx_grad" in names else {"jac": "jac"}
        which = rng.choice([name for name in names if name != "unknown_options"])
        is_function = which in (names[0], "jac", "fprime", "callback")
        given[which] = rng.choice(["$junk", "$returned"]) if is_function else "$junk"
        return f"{face}({', '.join(f'{key}={value}' for key, value in given.items())})"


def mistake(line: str) -> tuple[str, str] | None:
    """Run a line; return the place and the words if it ends neither in a named error nor right."""
    global calls
    calls, here, quiet = 0, os.getcwd(), io.StringIO()
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        os.chdir(folder)
        try:
            with contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet):
                result = eval(line, dict(NAMES))
        except OptimizerError as error:
            # What a function returns cannot be known before.
            functions = any(word in line for word in ("returns", "raises", "lambda"))
            if calls and not functions and not isinstance(error, LATE):
                return f"late {_place(error)}", f"after {calls} evaluations: {_words(error)}"
            return None
        except (UsersError, StopIteration):
            return None
        except Exception as error:
            return None if _is_pythons(error) else (_place(error), _words(error))
        finally:
            os.chdir(here)
    calls = 0
    if isinstance(result, OptimizerResult) and "fun=fun" in line:
        is_known = result.fun is not None and bool(np.isfinite(result.x).all())
        if result.success if not is_known else fun(result.x) != result.fun:
            return "wrong", f"success={result.success}, x={result.x}, fun={result.fun}"
    return None


def _place(error: BaseException) -> str:
    """Return what an error is and the last line of the package's own, and of all, it came from."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if f.filename.startswith(_ROOT)] or frames
    places = (f"{os.path.basename(f.filename)}:{f.lineno}" for f in (own[-1], frames[-1]))
    return f"{type(error).__name__} at {' in '.join(dict.fromkeys(places))}"


_ROOT = str(pathlib.Path(optimizers.__file__).parent)
#: What Python says of the call of a user's function that does not take what it is given, such as a
#: dict, which as x0 is a structure.
_USERS = (
    r"unsupported operand type\(s\) for .*'(dict|list)'|"
    r"^(<lambda>|fun|jac|hess|hessp|total|fidelity)\(\)|missing \d+ required|at most 1 argument|"
    "takes 1 or 3 arg|takes exactly one|not even its words"
)


def _is_pythons(error: BaseException) -> bool:
    """Return whether Python or SciPy refuse the line itself, or the call of a user's function."""
    reached = any(f.filename.startswith(_ROOT) for f in traceback.extract_tb(error.__traceback__))
    is_late = isinstance(error, TimeoutError)
    return not is_late and (not reached or re.search(_USERS, _words(error)) is not None)


def _words(error: BaseException) -> str:
    try:
        return str(error)[:300]
    except ZeroDivisionError as second:
        return str(second)


def listed(seeds: range) -> str:
    """Try the lines of seeds; return what fails, by its place."""
    lines, found = Lines(), defaultdict(list)
    for seed in seeds:
        line = lines.one(seed)
        if (failed := mistake(line)) is not None:
            found[failed[0]].append(f"    [{seed}] {line}\n        {failed[1]}")
    return "\n".join(
        f"{len(here)} x {place}\n" + "\n".join(here[:3])
        for place, here in sorted(found.items(), key=lambda item: -len(item[1]))
    )


def _late(*_: object) -> None:
    raise TimeoutError(f"longer than {SECONDS} s")


if __name__ == "__main__":
    count, first = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0
    places = listed(range(first, first + count))
    sys.exit(places or None)
