"""The window: brings together the bridge, what it tells, and the cards that show it."""

from __future__ import annotations

import uuid
from typing import Any

from PyQt6.QtCore import Qt, QTimer
from PyQt6.QtGui import QCloseEvent
from PyQt6.QtWidgets import QFrame, QHBoxLayout, QLabel, QMainWindow, QScrollArea, QVBoxLayout, QWidget

from lightwire import Answer, Refused, Unanswered
from lightwire.qt import Bridge

from .cards import Notice, PhotoCard, Pill, SessionCard, label, reconcile
from .model import Studio
from .style import SHEET

# Cards that are shown at once; the numbers beside the headings count all.
_CARDS_MAX = 100
_FRAME_MS = 30
_SESSIONS = "/api/sessions?limit=500&sort=-id"
_QUEUE = "/api/approval/queue?limit=500"


class StudioWindow(QMainWindow):
    """Sessions on the left, what waits for approval on the right."""

    def __init__(self, bridge: Bridge, server: str) -> None:
        super().__init__()
        self.studio = Studio()
        self.session_cards: dict[int, QWidget] = {}
        self.photo_cards: dict[int, QWidget] = {}
        # The same decision sent twice is one: its key is kept until there is an answer.
        self._keys: dict[tuple[int, str], str] = {}
        self._bridge = bridge
        self._lay_out(server)
        # However fast events come, the window is drawn once per frame.
        self._frame = QTimer(self)
        self._frame.setSingleShot(True)
        self._frame.timeout.connect(self._draw)
        bridge.status_changed.connect(self.pill.show_status)
        bridge.snapshot_read.connect(self._show)
        bridge.event_received.connect(self._apply)
        bridge.failed.connect(lambda error: self.notice.say(_sentence(error)))
        bridge.start()
        bridge.follow("sessions", _SESSIONS, ["sessions"])
        bridge.follow("queue", _QUEUE, ["jobs", "photos"])
        self._draw()

    def decide(self, photo_id: int, verb: str) -> None:
        """Approves or rejects: shown at once, undone when it is refused."""
        if photo_id in self.studio.deciding:
            return
        key = self._keys.setdefault((photo_id, verb), str(uuid.uuid4()))
        self.studio.deciding[photo_id] = verb
        self._draw()

        def settled(_: Answer) -> None:
            # Its event takes the card away, as in every other window.
            self._keys.pop((photo_id, verb), None)
            self._undo(photo_id)

        def refused(error: Exception) -> None:
            if isinstance(error, Refused):
                self._keys.pop((photo_id, verb), None)
            photo = self.studio.queue.get(photo_id)
            self.notice.say(f"Could not {verb} {photo.file_name if photo else 'the photo'}: {_sentence(error)}")
            self._undo(photo_id)

        self._bridge.call("POST", f"/api/approval/{photo_id}/{verb}", {}, key=key, done=settled, failed=refused)

    def closeEvent(self, event: QCloseEvent | None) -> None:
        self._bridge.stop()
        if event is not None:
            event.accept()

    def _undo(self, photo_id: int) -> None:
        self.studio.deciding.pop(photo_id, None)
        self._redraw()

    def _show(self, name: str, state: Any) -> None:
        if name == "sessions":
            self.studio.show_sessions(state)
        else:
            self.studio.show_queue(state)
        self._redraw()

    def _apply(self, event: dict[str, Any]) -> None:
        photo_id = self.studio.apply(event)
        if photo_id is not None:
            self._read(photo_id)
        self._redraw()

    def _read(self, photo_id: int) -> None:
        def done(answer: Answer) -> None:
            take(answer.body, answer.cursor)

        def failed(error: Exception) -> None:
            if isinstance(error, Refused) and error.code == "not_found":
                take(None, None)
            else:
                self.studio.photo_unread(photo_id)
                self.notice.say(_sentence(error))

        def take(row: Any, cursor: str | None) -> None:
            if not self.studio.photo_read(row, photo_id, _positions(cursor)):
                self._read(photo_id)
            self._redraw()

        self._bridge.call("GET", f"/api/photos/{photo_id}", done=done, failed=failed)

    def _redraw(self) -> None:
        if not self._frame.isActive():
            self._frame.start(_FRAME_MS)

    def _draw(self) -> None:
        studio = self.studio
        sessions = sorted(studio.sessions.values(), key=lambda session: -session.id)
        waiting = studio.waiting
        reconcile(self._sessions, self.session_cards, [one.id for one in sessions[:_CARDS_MAX]], lambda _: SessionCard())
        reconcile(self._photos, self.photo_cards, [one.id for one in waiting[:_CARDS_MAX]], self._photo_card)
        for session in sessions:
            card = self.session_cards.get(session.id)
            if isinstance(card, SessionCard):
                card.show_session(session)
        for photo in waiting:
            card = self.photo_cards.get(photo.id)
            if isinstance(card, PhotoCard):
                of = studio.sessions.get(photo.session_id or 0)
                card.show_photo(photo, of.name if of else "", studio.deciding.get(photo.id))
        self.session_count.setText(str(len(sessions) or ""))
        self.photo_count.setText(str(len(waiting) or ""))
        self._no_sessions.setVisible(not sessions)
        self._no_photos.setVisible(not waiting)

    def _photo_card(self, photo_id: int) -> QWidget:
        card = PhotoCard(photo_id)
        card.decided.connect(self.decide)
        return card

    def _lay_out(self, server: str) -> None:
        self.setWindowTitle("Lightwire Studio")
        self.resize(1120, 660)
        self.setStyleSheet(SHEET)
        self.pill, self.notice = Pill(), Notice()
        header = QFrame()
        header.setObjectName("header")
        header.setFixedHeight(56)
        top = QHBoxLayout(header)
        top.setContentsMargins(20, 0, 20, 0)
        top.setSpacing(12)
        top.addWidget(label("Lightwire Studio", "brand"))
        top.addWidget(label(server, "server"), 1)
        top.addWidget(self.pill)
        left, self._sessions, self.session_count, self._no_sessions = _column("Sessions", "No sessions yet.")
        right, self._photos, self.photo_count, self._no_photos = _column(
            "Waiting for approval", "Nothing waits for approval."
        )
        columns = QHBoxLayout()
        columns.setSpacing(20)
        columns.addWidget(left, 3)
        columns.addWidget(right, 5)
        body = QVBoxLayout()
        body.setContentsMargins(20, 16, 20, 16)
        body.setSpacing(12)
        body.addLayout(columns, 1)
        body.addWidget(self.notice)
        page = QWidget()
        page.setObjectName("page")
        whole = QVBoxLayout(page)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.setSpacing(0)
        whole.addWidget(header)
        whole.addLayout(body, 1)
        self.setCentralWidget(page)


def _column(title: str, nothing: str) -> tuple[QWidget, QVBoxLayout, QLabel, QLabel]:
    """A heading with a count, and a list that scrolls: the column, where cards go, the count, what an empty one says."""
    count, empty = label(name="count"), label(nothing, "empty")
    empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
    heading = QHBoxLayout()
    heading.setSpacing(8)
    heading.addWidget(label(title, "heading"))
    heading.addWidget(count, 1)
    cards = QVBoxLayout()
    cards.setSpacing(10)
    column = QWidget()
    column.setObjectName("column")
    inside = QVBoxLayout(column)
    inside.setContentsMargins(0, 0, 4, 0)
    inside.addLayout(cards)
    inside.addWidget(empty)
    inside.addStretch(1)
    area = QScrollArea()
    area.setWidgetResizable(True)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setWidget(column)
    whole = QWidget()
    around = QVBoxLayout(whole)
    around.setContentsMargins(0, 0, 0, 0)
    around.setSpacing(10)
    around.addLayout(heading)
    around.addWidget(area, 1)
    return whole, cards, count, empty


def _positions(cursor: str | None) -> dict[str, int]:
    parts = (part.partition("=") for part in (cursor or "").partition(":")[2].split(",") if part)
    return {channel: int(seq) for channel, _, seq in parts}


def _sentence(error: Exception) -> str:
    """What a person can do something with."""
    if isinstance(error, Refused):
        known = {
            "forbidden": "your token does not allow it",
            "invalid_token": "your token is not good any more",
            "conflict": "somebody was faster",
            "not_found": "it is gone",
        }
        return known.get(error.code, error.message) + "."
    if isinstance(error, Unanswered):
        return "the server did not answer. Trying again does it once."
    return str(error)
