"""SciPy's own tests of minimize, with the import changed."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy

import optimizers

#: Why a test of SciPy's does not hold here; docs/scipy.rst says the same in more words.
DIFFERS = {
    "NaN and -inf from the objective are errors": [
        "test_bfgs_infinite",
        "test_bfgs_nan_return",
        "test_nan_values",
    ],
    "a start outside the bounds is clipped": ["test_bounded_powell_outsidebounds"],
    "budgets are hard, and a point that is asked for again does not count": [
        "test_minimize_callback_copies_array[tnc]",
        "test_powell_limit",
    ],
    "constraints are checked, also those for a custom method": ["test_gh10771"],
    "njev is 0 where there are no gradients": [
        "test_respect_maxiter[Nelder-Mead]",
        "test_respect_maxiter[Powell]",
        "test_respect_maxiter[cobyqa]",
    ],
    "a start may have any shape": ["test_ndim_error"],
    "all is in double precision": ["test_neldermead_respect_fp"],
}
#: What takes long, and is of other functions or of processes.
LEFT_OUT = "TestBrute TestWorkers TestGlobal test_neldermead_limit callback_copies_array fmin"


@pytest.mark.skipif(
    np.lib.NumpyVersion(scipy.__version__) < "1.17.0", reason="SciPy's tests of other versions"
)
def test_scipys_own_tests_of_minimize_hold_but_for_what_the_docs_list():
    root = Path(optimizers.__file__).parents[1]
    paths = os.pathsep.join([str(root), str(Path(__file__).parent)])
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-p", "routed", "-q", "-p", "no:cacheprovider"),
            *("--pyargs", "scipy.optimize.tests.test_optimize", "--tb=line", "-rf"),
            *("-k", f"not ({' or '.join(LEFT_OUT.split())})"),
            *("-W", "ignore::optimizers.OptimizerWarning", "-W", "ignore::DeprecationWarning"),
        ],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": paths},
        cwd=root.parent,
        check=False,
    )
    failed = re.findall(r"^FAILED .*::(\S+)", done.stdout, re.M)
    known = [name for names in DIFFERS.values() for name in names]
    assert [name for name in failed if not name.startswith(tuple(known))] == []
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None, done.stdout[-2000:] + done.stderr[-2000:]
    assert int(passed[1]) > 300
