"""Reports: what is known of a run, or of many, as one HTML file; needs the extra ``plot``."""

from optimizers.report.page import write

__all__ = ["write"]
