"""The record that a run resumes from."""

from optimizers.journal.history import Recording, load
from optimizers.journal.journal import Journal
from optimizers.journal.records import Record

__all__ = ["Journal", "Record", "Recording", "load"]
