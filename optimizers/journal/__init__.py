"""The record that a run resumes from."""

from optimizers.journal.history import Recording, load
from optimizers.journal.iterations import Iteration
from optimizers.journal.journal import Journal
from optimizers.journal.records import Record

__all__ = ["Iteration", "Journal", "Record", "Recording", "load"]
