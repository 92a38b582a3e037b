"""Windows of the desktop example, offscreen, at the near end of a pipe: a test clicks in them and looks at them.

A command is a JSON object a line: {"n": 1, "do": "open", "url": …, "token": …}; its answer {"re": 1, "ok": …}.
"""

import json
import os
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
# Debian's Qt looks for fonts by fontconfig, and for a folder of its own it is only warned of.
os.environ.setdefault("XDG_RUNTIME_DIR", tempfile.gettempdir())
sys.path.insert(0, str(Path(__file__).parents[3] / "clients" / "python"))

from PyQt6.QtCore import QSocketNotifier  # noqa: E402
from PyQt6.QtWidgets import QApplication  # noqa: E402

from examples.desktop.window import StudioWindow  # noqa: E402
from lightwire import Client  # noqa: E402
from lightwire.qt import Bridge  # noqa: E402


class Stage:
    def __init__(self, application):
        self.application = application
        self.windows = []
        self.tokens = []
        self.rest = b""
        self.notifier = QSocketNotifier(0, QSocketNotifier.Type.Read)
        self.notifier.activated.connect(self.read)

    def read(self):
        chunk = os.read(0, 65536)
        if not chunk:
            return self.application.quit()
        *lines, self.rest = (self.rest + chunk).split(b"\n")
        for line in filter(None, lines):
            command = json.loads(line)
            n, do = command.pop("n"), command.pop("do")
            try:
                answer = {"re": n, "ok": getattr(self, do)(**command)}
            except Exception as error:
                answer = {"re": n, "refused": {"code": "failed", "message": repr(error)}}
            sys.stdout.write(json.dumps(answer) + "\n")
            sys.stdout.flush()

    def open(self, url, token):
        number = len(self.windows)
        self.tokens.append(token)

        async def get_token():
            return self.tokens[number]

        bridge = Bridge(lambda: Client(url, get_token, client_type="gui", client_name=f"window {number}"))
        window = StudioWindow(bridge, url.partition("://")[2])
        window.show()
        self.windows.append(window)
        return number

    def look(self, window):
        shown = self.windows[window]
        return {
            "connection": shown.pill.text(),
            "sessions": [
                {
                    "name": card.name.text(),
                    "status": card.chip.text(),
                    "progress": card.bar.value() / 10,
                    "numbers": card.numbers.text(),
                    "activity": card.activity.text(),
                }
                for card in in_order(shown.session_cards)
            ],
            "photos": [
                {
                    "id": card.photo_id,
                    "name": card.name.text(),
                    "about": card.about.text(),
                    "score": card.score.text(),
                    "approve": card.approve.text(),
                    "enabled": card.approve.isEnabled(),
                }
                for card in in_order(shown.photo_cards)
            ],
            "counts": [shown.session_count.text(), shown.photo_count.text()],
            "notice": shown.notice.text.text() if shown.notice.isVisible() else "",
        }

    def click(self, clicks):
        for window, photo, button in clicks:
            getattr(self.windows[window].photo_cards[photo], button).click()
        return [self.look(window) for window, _, _ in clicks]

    def grab(self, window, path):
        return self.windows[window].grab().save(path)

    def resize(self, window, width, height):
        self.windows[window].resize(width, height)

    def leave(self, window):
        return self.windows[window].close()

    def close(self):
        for window in self.windows:
            window.close()
        self.application.quit()


def in_order(cards):
    return sorted(cards.values(), key=lambda card: card.y())


application = QApplication(sys.argv[:1])
application.setQuitOnLastWindowClosed(False)
stage = Stage(application)
sys.exit(application.exec())
