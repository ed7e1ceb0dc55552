"""Several runs on one problem: multistart and race."""
