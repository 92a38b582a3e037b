"""The pieces of the window: a card per session, a card per photo, the pill of the connection, the line for troubles."""

from __future__ import annotations

from collections.abc import Callable

from PyQt6.QtCore import QRectF, QSize, Qt, QTimer, pyqtSignal
from PyQt6.QtGui import QColor, QLinearGradient, QPainter, QPainterPath, QPaintEvent
from PyQt6.QtWidgets import QFrame, QHBoxLayout, QLabel, QProgressBar, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from .model import Photo, Session
from .style import STATUS_COLOURS

_NOTICE_MS = 12_000
# As much as the longest of its texts needs, so that nothing jumps.
_BUTTON_WIDTH = 116


def label(text: str = "", name: str = "") -> QLabel:
    """A text of plain characters: names come from elsewhere and are no markup."""
    made = QLabel(text)
    made.setTextFormat(Qt.TextFormat.PlainText)
    made.setObjectName(name)
    return made


def mark(widget: QWidget, name: str, value: bool) -> None:
    """Sets a property that the style sheet looks at."""
    if widget.property(name) != value:
        widget.setProperty(name, value)
        style = widget.style()
        if style is not None:
            style.unpolish(widget)
            style.polish(widget)


class Elided(QLabel):
    """A line that gives way: where there is no room for all of it, it ends in dots."""

    def __init__(self, name: str = "") -> None:
        super().__init__()
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setObjectName(name)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)

    def paintEvent(self, event: QPaintEvent | None) -> None:
        painter = QPainter(self)
        text = self.fontMetrics().elidedText(self.text(), Qt.TextElideMode.ElideRight, self.width())
        painter.drawText(self.rect(), Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, text)


class Card(QFrame):
    """A white card with room around what is in it."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("card")
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)


class SessionCard(Card):
    """A session's name, state and progress."""

    def __init__(self) -> None:
        super().__init__()
        self.name = Elided("title")
        self.chip = label(name="chip")
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setRange(0, 1000)
        self.numbers = label()
        self.activity = label()
        for faint in (self.numbers, self.activity):
            faint.setProperty("class", "faint")
        top, below, all_of_it = QHBoxLayout(), QHBoxLayout(), QVBoxLayout(self)
        top.addWidget(self.name, 1)
        top.addWidget(self.chip)
        below.addWidget(self.numbers, 1)
        below.addWidget(self.activity)
        all_of_it.setContentsMargins(14, 12, 14, 12)
        all_of_it.setSpacing(9)
        all_of_it.addLayout(top)
        all_of_it.addWidget(self.bar)
        all_of_it.addLayout(below)

    def show_session(self, session: Session) -> None:
        """Shows it as it is now."""
        done = session.status == "completed"
        self.name.setText(session.name)
        self.chip.setText(session.status.capitalize())
        self.bar.setValue(round(min(session.percent, 100) * 10))
        photos = "photo" if session.total == 1 else "photos"
        self.numbers.setText(f"{session.processed} of {session.total} {photos} · {session.percent:.0f} %")
        self.activity.setText(session.activity)
        mark(self.chip, "done", done)
        mark(self.bar, "done", done or session.percent >= 100)


class PhotoCard(Card):
    """A photo that waits, and the two things that can be done with it."""

    decided = pyqtSignal(int, str)

    def __init__(self, photo_id: int) -> None:
        super().__init__()
        self.photo_id = photo_id
        self.picture = Thumbnail()
        self.name = Elided("title")
        self.about = Elided()
        self.about.setProperty("class", "faint")
        self.score = label(name="score")
        self.approve = QPushButton("Approve")
        self.reject = QPushButton("Reject")
        for button, verb in ((self.approve, "approve"), (self.reject, "reject")):
            button.setObjectName(verb)
            button.setMinimumWidth(_BUTTON_WIDTH)
            button.setCursor(Qt.CursorShape.PointingHandCursor)
            button.clicked.connect(lambda _, verb=verb: self.decided.emit(self.photo_id, verb))
        text, row = QVBoxLayout(), QHBoxLayout(self)
        text.setSpacing(3)
        text.addWidget(self.name)
        text.addWidget(self.about)
        row.setContentsMargins(10, 10, 14, 10)
        row.setSpacing(12)
        row.addWidget(self.picture)
        row.addLayout(text, 1)
        for widget in (self.score, self.reject, self.approve):
            row.addWidget(widget, 0, Qt.AlignmentFlag.AlignVCenter)

    def show_photo(self, photo: Photo, session: str, deciding: str | None) -> None:
        """Shows it as it is now; while a decision is on the way it says so, and takes no other."""
        self.picture.show_file(photo.file_name, photo.id)
        self.name.setText(photo.file_name)
        self.about.setText(" · ".join(part for part in (session, photo.preset) if part))
        self.score.setText("" if photo.score is None else f"★ {photo.score:.1f}")
        self.score.setVisible(photo.score is not None)
        for button, verb, doing in (
            (self.approve, "approve", "Approving…"),
            (self.reject, "reject", "Rejecting…"),
        ):
            button.setEnabled(deciding is None)
            button.setText(doing if deciding == verb else verb.capitalize())


class Thumbnail(QWidget):
    """Stands in for a picture that is not loaded here: a colour of its own, and the kind of file."""

    def __init__(self) -> None:
        super().__init__()
        self.setFixedSize(QSize(60, 44))
        self._kind = ""
        self._hue = 0

    def show_file(self, file_name: str, number: int) -> None:
        """Takes the file's name; the number gives the colour."""
        self._kind = file_name.rpartition(".")[2].upper()[:4]
        self._hue = number * 47 % 360
        self.update()

    def paintEvent(self, event: QPaintEvent | None) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        area, shape = QRectF(self.rect()), QPainterPath()
        shape.addRoundedRect(area, 6, 6)
        painter.setClipPath(shape)
        sky = QLinearGradient(area.topLeft(), area.bottomLeft())
        sky.setColorAt(0, QColor.fromHsv(self._hue, 60, 235))
        sky.setColorAt(1, QColor.fromHsv((self._hue + 30) % 360, 105, 190))
        painter.fillRect(area, sky)
        hill = QPainterPath()
        hill.moveTo(0, 44)
        hill.lineTo(20, 20)
        hill.lineTo(34, 34)
        hill.lineTo(44, 26)
        hill.lineTo(60, 44)
        painter.fillPath(hill, QColor.fromHsv((self._hue + 40) % 360, 110, 130))
        font = painter.font()
        font.setPixelSize(9)
        font.setBold(True)
        painter.setFont(font)
        painter.setPen(QColor("white"))
        painter.drawText(area.adjusted(0, 0, -5, -3), Qt.AlignmentFlag.AlignBottom | Qt.AlignmentFlag.AlignRight, self._kind)


class Pill(QLabel):
    """The state of the connection, in a word and a colour."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("pill")
        self.setFixedHeight(26)
        self.show_status("connecting", "")

    def show_status(self, status: str, code: str) -> None:
        """Takes a status of the client, and the code of what ended the last connection."""
        words = {
            "connected": "Connected",
            "connecting": "Connecting…",
            "waiting": "Reconnecting…",
            "closed": "Signed out" if code in ("invalid_token", "disconnected") else "Offline",
        }
        text, back = STATUS_COLOURS[status]
        self.setText(f"●  {words[status]}")
        self.setToolTip(code.replace("_", " "))
        self.setStyleSheet(f"color: {text}; background: {back};")


class Notice(QFrame):
    """The newest trouble, until it is dismissed or old."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("notice")
        self.text = label()
        self.text.setWordWrap(True)
        dismiss = QPushButton("Dismiss")
        dismiss.clicked.connect(self.hide)
        row = QHBoxLayout(self)
        row.setContentsMargins(14, 8, 8, 8)
        row.addWidget(self.text, 1)
        row.addWidget(dismiss)
        self._clock = QTimer(self)
        self._clock.setSingleShot(True)
        self._clock.timeout.connect(self.hide)
        self.hide()

    def say(self, text: str) -> None:
        """Shows a sentence."""
        self.text.setText(text)
        self.show()
        self._clock.start(_NOTICE_MS)


def reconcile(
    layout: QVBoxLayout, cards: dict[int, QWidget], wanted: list[int], make: Callable[[int], QWidget]
) -> None:
    """Brings the cards of a column into the wanted order: makes what is missing, takes away what is left over."""
    for number in [number for number in cards if number not in set(wanted)]:
        card = cards.pop(number)
        layout.removeWidget(card)
        card.deleteLater()
    for place, number in enumerate(wanted):
        if number not in cards:
            cards[number] = make(number)
        if layout.indexOf(cards[number]) != place:
            layout.removeWidget(cards[number])
            layout.insertWidget(place, cards[number])
