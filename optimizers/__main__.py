"""``python -m optimizers``."""

from optimizers.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
