"""What the window shows: sessions and the approval queue, kept by a snapshot and the events after it. No Qt in here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

# Job events after which a photo is in the queue no more; after the others only the server knows.
_LEAVES = frozenset({"job_created", "job_requeued", "job_started", "job_failed"})
_MAY_ENTER = frozenset({"job_completed", "job_cancelled"})
_DECIDES = frozenset({"photo_approved", "photo_rejected"})


@dataclass
class Session:
    """One shoot; ``percent`` from 0 to 100, ``activity`` what a worker does on it now."""

    id: int
    name: str
    status: str
    total: int
    processed: int
    percent: float
    activity: str = ""


@dataclass
class Photo:
    """One photo that waits for approval; ``score`` from 1 to 5 where an analysis gave one."""

    id: int
    session_id: int | None
    file_name: str
    score: float | None
    preset: str


class Studio:
    """The state of the window. Sessions and queue come from two snapshots, each exact by itself."""

    def __init__(self) -> None:
        self.sessions: dict[int, Session] = {}
        self.queue: dict[int, Photo] = {}
        #: Decisions on the way, by photo: shown at once, undone when refused.
        self.deciding: dict[int, str] = {}
        # Photos that are being read: where the events stood that came about them meanwhile.
        self._reading: dict[int, dict[str, int]] = {}

    @property
    def waiting(self) -> list[Photo]:
        """The queue, best score first."""
        return sorted(self.queue.values(), key=lambda photo: (-(photo.score or 0), -photo.id))

    def show_sessions(self, state: dict[str, Any]) -> None:
        """Takes `GET /api/sessions`."""
        self.sessions = {
            row["id"]: Session(
                row["id"],
                row["name"],
                row["status"],
                row["total_photos"],
                row["processed_photos"],
                row["progress_percent"],
            )
            for row in state["sessions"]
        }

    def show_queue(self, state: dict[str, Any]) -> None:
        """Takes `GET /api/approval/queue`."""
        self.queue = {row["id"]: _photo(row) for row in state["photos"]}

    def apply(self, event: dict[str, Any]) -> int | None:
        """Takes an event; the photo that has to be read now, where one has to."""
        kind, photo_id = event["type"], event.get("photo_id")
        if photo_id in self._reading:
            self._reading[photo_id][event["channel"]] = event["seq"]
        if kind.startswith("session_"):
            self._apply_session(event)
        elif kind.startswith("job_"):
            self._note_activity(event)
        if photo_id is None:
            return None
        if kind in _LEAVES or kind in _DECIDES:
            self.queue.pop(photo_id, None)
        elif kind in _MAY_ENTER and photo_id not in self._reading:
            self._reading[photo_id] = {}
            return int(photo_id)
        return None

    def photo_read(self, row: dict[str, Any] | None, photo_id: int, positions: dict[str, int]) -> bool:
        """Takes a photo that was read (None: it is gone), and where the journal stood then.

        False: an event about it is newer than that, so it has to be read again.
        """
        seen = self._reading.get(photo_id, {})
        if any(seq > positions.get(channel, 0) for channel, seq in seen.items()):
            self._reading[photo_id] = {}
            return False
        self._reading.pop(photo_id, None)
        if row is not None and row["status"] == "completed":
            self.queue[photo_id] = _photo(row)
        else:
            self.queue.pop(photo_id, None)
        return True

    def photo_unread(self, photo_id: int) -> None:
        """It could not be read."""
        self._reading.pop(photo_id, None)

    def _apply_session(self, event: dict[str, Any]) -> None:
        kind, number = event["type"], event["session_id"]
        if kind == "session_deleted":
            self.sessions.pop(number, None)
            self._forget(photo.id for photo in list(self.queue.values()) if photo.session_id == number)
            return
        session = self.sessions.get(number)
        if session is None:
            session = self.sessions[number] = Session(number, "", "importing", 0, 0, 0.0)
        session.name = event["session_name"]
        if kind == "session_completed":
            session.status = "completed"
        if kind == "session_updated":
            session.status = event["status"]
            session.total = event["total_photos"]
            session.processed = event["processed_photos"]
            session.percent = event["progress_percent"]

    def _note_activity(self, event: dict[str, Any]) -> None:
        session = self.sessions.get(event["session_id"] or 0)
        if session is None:
            return
        if event["type"] == "job_progress":
            session.activity = f"{event['stage'].capitalize()} · {event['progress']:.0f} %"
        elif event["type"] in ("job_completed", "job_failed", "job_cancelled"):
            session.activity = ""

    def _forget(self, photos: Iterable[int]) -> None:
        for photo_id in photos:
            self.queue.pop(photo_id, None)


def _photo(row: dict[str, Any]) -> Photo:
    return Photo(row["id"], row["session_id"], row["file_name"], row["ai_score"], row["selected_preset"])
