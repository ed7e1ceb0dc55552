"""Reports of one run or many as an HTML file; needs matplotlib."""

from optimizers.report.page import write

__all__ = ["write"]
