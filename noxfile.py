"""The checks in environments of their own: ``nox`` runs all, ``nox -s lint`` one."""

from pathlib import Path

import nox

nox.options.error_on_missing_interpreters = True


@nox.session(python=["3.11", "3.12", "3.13"])
def tests(session: nox.Session) -> None:
    """Run the tests with the newest NumPy and SciPy."""
    session.install("-e", ".[test]")
    session.run("python", "-m", "pytest", *session.posargs)


@nox.session(python="3.11")
def tests_oldest(session: nox.Session) -> None:
    """Run the tests with the oldest NumPy and SciPy that pyproject.toml admits."""
    session.install("-e", ".[test]", "numpy==1.26.0", "scipy==1.15.0")
    session.run("python", "-m", "pytest", *session.posargs)


@nox.session(python="3.11")
def lint(session: nox.Session) -> None:
    """Check style and format."""
    session.install("ruff>=0.9")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")


@nox.session(python="3.11")
def types(session: nox.Session) -> None:
    """Check the types."""
    session.install("-e", ".[test,lint]")
    session.run("python", "-m", "mypy")


@nox.session(python="3.11")
def docs(session: nox.Session) -> None:
    """Build the documentation with warnings as errors, and run the examples in it."""
    session.install("-e", ".[test,docs]")
    session.run("python", "-m", "sphinx", "-W", "--keep-going", "docs", "docs/_build/html")
    session.run("python", "-m", "pytest", *map(str, sorted(Path("docs").glob("*.rst"))))
