"""`python3 -m examples.desktop --url http://127.0.0.1:5100`, with the token in LIGHTWIRE_TOKEN or in a file."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path

from PyQt6.QtCore import QTimer
from PyQt6.QtWidgets import QApplication

from lightwire import Client
from lightwire.qt import Bridge

from .window import StudioWindow


def main() -> int:
    """Runs until the window is closed."""
    parser = argparse.ArgumentParser(prog="desktop", description="Sessions and approvals of a Lightwire server")
    parser.add_argument("--url", default="http://127.0.0.1:5100")
    parser.add_argument("--token-file", type=Path, help="read again whenever a token is needed")
    options = parser.parse_args()

    async def get_token() -> str | None:
        if options.token_file is not None:
            return str(options.token_file.read_text().strip())
        return os.environ.get("LIGHTWIRE_TOKEN")

    application = QApplication(sys.argv[:1])
    bridge = Bridge(lambda: Client(options.url, get_token, client_type="gui", client_name="Desktop"))
    window = StudioWindow(bridge, options.url.partition("://")[2])
    window.show()
    # Python sees Ctrl-C only when it gets to run.
    signal.signal(signal.SIGINT, lambda *_: application.quit())
    ticking = QTimer()
    ticking.timeout.connect(lambda: None)
    ticking.start(200)
    return application.exec()


sys.exit(main())
