"""TNC on SciPy's kernel."""
