"""Lightwire's client for Python: every change of jobs, photos, sessions and approvals, once and in order."""

from ._errors import Refused
from ._http import Answer, Unanswered
from ._outbox import Published
from ._snapshot import Snapshot
from ._storage import CursorStorage, FileStorage
from .client import Client

__all__ = [
    "Answer",
    "Client",
    "CursorStorage",
    "FileStorage",
    "Published",
    "Refused",
    "Snapshot",
    "Unanswered",
]
__version__ = "0.1.0"
