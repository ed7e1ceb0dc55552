"""What people type: the command line."""

from optimizers.cli.main import main

__all__ = ["main"]
