"""Exit codes of the command line."""

CONVERGED, ERROR, USAGE, STOPPED = 0, 1, 2, 3  # 2 is what argparse itself exits with
INTERRUPTED = 130  # what shells report for Ctrl-C
