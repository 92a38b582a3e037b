"""The client for PyQt6: it lives in a thread of its own, and what it hears becomes signals in the GUI's thread.

What waits for the GUI is bounded: a window that is busy for long makes the client read no further, the server keeps
what comes after, and nothing is lost.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

from PyQt6.QtCore import QCoreApplication, QObject, QTimer, pyqtSignal

from ._errors import Refused
from ._snapshot import Snapshot
from .client import Client

T = TypeVar("T")

# The GUI is given back for a moment after as much work as fits between two frames.
_TURN_SECONDS = 0.008
_LEAVE_SECONDS = 5.0

logger = logging.getLogger("lightwire")


class Bridge(QObject):
    """Runs the client that ``make_client`` makes in a thread of its own, from `start` to `stop`.

    To be made and used in the GUI's thread; all signals and callbacks come there, in the order in which things
    happened. ``waiting_max`` bounds what waits for the GUI.
    """

    #: Every event that is followed, once and in order: a dict as in PROTOCOL §3.
    event_received = pyqtSignal(dict)
    #: `connecting`, `connected`, `waiting`, `closed`; and the code of what ended the last connection, or ''.
    status_changed = pyqtSignal(str, str)
    #: Channels whose state is to be read again.
    state_lost = pyqtSignal(list)
    #: Of `follow`: its name, and the state that was read. What follows is in `event_received`.
    snapshot_read = pyqtSignal(str, object)
    #: An exception that nobody waits for.
    failed = pyqtSignal(object)

    _filled = pyqtSignal()

    def __init__(
        self, make_client: Callable[[], Client], parent: QObject | None = None, *, waiting_max: int = 1000
    ) -> None:
        super().__init__(parent)
        self._make_client = make_client
        self._box = _Box(waiting_max)
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._client: Client | None = None
        self._leave: asyncio.Event | None = None
        self._stopped = False
        # Emitted in the other thread only, so it is queued.
        self._filled.connect(self._take)
        application = QCoreApplication.instance()
        if application is not None:
            application.aboutToQuit.connect(self.stop)

    def start(self) -> None:
        """Begins to connect, and keeps at it."""
        if self._thread is not None or self._stopped:
            return
        ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._live(ready)), name="lightwire", daemon=True)
        self._thread.start()
        ready.wait()

    def stop(self) -> None:
        """Leaves, within a few seconds at most. After it no signal comes; who waits is forgotten."""
        self._stopped = True
        self._box.close()
        if self._loop is not None and self._leave is not None:
            try:
                self._loop.call_soon_threadsafe(self._leave.set)
            except RuntimeError:
                pass  # Its loop has ended already.
        if self._thread is not None:
            self._thread.join(_LEAVE_SECONDS)

    def run(
        self,
        act: Callable[[Client], Awaitable[T]],
        done: Callable[[T], None] | None = None,
        failed: Callable[[Exception], None] | None = None,
    ) -> None:
        """Does something with the client, in its thread: `run(lambda client: client.publish(event), done)`.

        ``done`` gets the result and ``failed`` the exception, here; without it the signal `failed` does.
        """

        async def work() -> None:
            assert self._client is not None
            tell = failed or self.failed.emit
            try:
                result = await act(self._client)
            except Exception as error:
                self._hand(tell, error)
            else:
                if done is not None:
                    self._hand(done, result)

        loop = self._loop
        if loop is None or self._stopped:
            error = Refused("closed", "the bridge is not running")
            QTimer.singleShot(0, lambda: (failed or self.failed.emit)(error))
            return
        asyncio.run_coroutine_threadsafe(work(), loop)

    def subscribe(self, channels: Sequence[str], **options: Any) -> None:
        """Follows channels, as `Client.subscribe`; a refusal comes as `failed`."""
        self.run(lambda client: client.subscribe(channels, **options))

    def follow(self, name: str, path: str, channels: Sequence[str], **options: Any) -> None:
        """Reads the state at ``path``, gives it as `snapshot_read(name, state)`, then every event after it as
        `event_received`: the exact join, again whenever the position is lost. A refusal comes as `failed`.
        """

        async def act(client: Client) -> None:
            async def fetch() -> Snapshot:
                return await client.rest.read(path)

            def show(state: Any) -> None:
                self._hand(self.snapshot_read.emit, name, state)

            await client.snapshot_then_follow(fetch, channels, show, **options)

        self.run(act)

    def call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        key: str | None = None,
        done: Callable[[Any], None] | None = None,
        failed: Callable[[Exception], None] | None = None,
    ) -> None:
        """A request of the REST API, as `Rest.call`; ``done`` gets the `Answer`."""
        self.run(lambda client: client.rest.call(method, path, body, key=key), done, failed)

    async def _live(self, ready: threading.Event) -> None:
        """The thread's life."""
        try:
            client = self._make_client()
            client.on_event(lambda event: self._hand(self.event_received.emit, event))
            client.on_status(lambda status, code: self._hand(self.status_changed.emit, status, code or ""))
            client.on_state_lost(lambda channels: self._hand(self.state_lost.emit, channels))
            client.on_error(lambda error: self._hand(self.failed.emit, error))
            self._client, self._leave = client, asyncio.Event()
            self._loop = asyncio.get_running_loop()
            client.start()
        except Exception as error:
            self._stopped = True
            self._hand(self.failed.emit, error)
            return
        finally:
            ready.set()
        await self._leave.wait()
        await client.close()

    def _hand(self, tell: Callable[..., object], *words: object) -> None:
        """Leaves something for the GUI, and waits while too much is there."""
        if self._box.put((tell, words)):
            self._filled.emit()

    def _take(self) -> None:
        until = time.monotonic() + _TURN_SECONDS
        while (item := self._box.get()) is not None:
            tell, words = item
            try:
                tell(*words)
            except Exception as error:
                # One that fails must not hold up the others.
                logger.error("a callback failed", exc_info=error)
            if time.monotonic() >= until:
                QTimer.singleShot(0, self._take)
                return


class _Box:
    """A bounded queue between two threads; `put` says when the taker has to be woken."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._items: deque[tuple[Callable[..., object], tuple[object, ...]]] = deque()
        self._changed = threading.Condition()
        self._is_closed = False
        self._is_taking = False

    def put(self, item: tuple[Callable[..., object], tuple[object, ...]]) -> bool:
        """Waits for room; whether nobody is about to take it yet. What comes after `close` is dropped."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_closed or len(self._items) < self._size)
            if self._is_closed:
                return False
            self._items.append(item)
            wake, self._is_taking = not self._is_taking, True
            return wake

    def get(self) -> tuple[Callable[..., object], tuple[object, ...]] | None:
        """The oldest, or None where there is none: then the taker has to be woken again."""
        with self._changed:
            if not self._items:
                self._is_taking = False
                return None
            self._changed.notify()
            return self._items.popleft()

    def close(self) -> None:
        """Nobody waits any more."""
        with self._changed:
            self._is_closed = True
            self._items.clear()
            self._changed.notify_all()
