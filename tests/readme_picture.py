"""The picture of the README; ``python -m tests.readme_picture`` writes ``docs/convergence.svg``.

A forge shows a committed file alone. A test compares it with what its example draws.
"""

import runpy
from pathlib import Path

import numpy as np
import scipy

ROOT = Path(__file__).parent.parent
KEPT = ROOT / "docs" / "convergence.svg"


def made_by():
    """Return the versions that the numbers in the file depend on."""
    import matplotlib

    return f"matplotlib {matplotlib.__version__}, NumPy {np.__version__}, SciPy {scipy.__version__}"


def draw(path):
    from matplotlib import pyplot

    figure = runpy.run_path(str(ROOT / "examples" / "convergence.py"))["picture"]()
    # Nothing random and no date: the same each time.
    with pyplot.rc_context({"svg.hashsalt": "convergence", "svg.fonttype": "none"}):
        figure.savefig(path, metadata={"Date": None, "Creator": made_by()})
    pyplot.close(figure)


if __name__ == "__main__":
    draw(KEPT)
