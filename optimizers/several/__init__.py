"""Several runs on one problem: multistart, race and portfolio."""
