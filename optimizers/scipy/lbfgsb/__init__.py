"""L-BFGS-B on SciPy's kernel."""
