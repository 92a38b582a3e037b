"""The exact join: a snapshot, then every change after it, again whenever the position is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ._backoff import Backoff
from ._errors import Refused
from ._following import Options, parse_cursor
from ._http import Unanswered
from ._stream import Stream

# What a later read may not meet again.
_NOT_NOW = frozenset({"rate_limited", "storage_unavailable", "draining", "unauthenticated", "internal"})


@dataclass(frozen=True)
class Snapshot:
    """A state that was read, and the cursor of that very state (`Lightwire-Cursor`)."""

    state: Any
    cursor: str | None

    def require(self, channels: Sequence[str]) -> None:
        """Raises Refused where the cursor does not say where each of these channels goes on: what came since would be
        missed."""
        try:
            missing = set(channels) - set(parse_cursor(self.cursor))
        except ValueError:
            missing = set(channels)
        if missing:
            raise Refused("malformed", f"the snapshot has no cursor for {', '.join(sorted(missing))}")


Fetch = Callable[[], Awaitable[Snapshot]]


class Follow:
    """One snapshot with what follows it, in ``channels`` that it alone follows."""

    def __init__(
        self,
        stream: Stream,
        fetch: Fetch,
        channels: Sequence[str],
        options: Options,
        show: Callable[[Any], None],
        fault: Callable[[Exception], None],
    ) -> None:
        self.channels = tuple(dict.fromkeys(channels))
        self._stream = stream
        self._fetch = fetch
        self._options = options
        self._show = show
        self._fault = fault
        self._again = asyncio.Event()
        self._reading: asyncio.Task[None] | None = None
        self._stopped = False

    async def begin(self) -> None:
        """Reads for the first time; returns when what follows is confirmed. Raises what ``fetch`` raises, Refused."""
        self._hold()
        self._reading = asyncio.create_task(self._read())
        try:
            await self._reading
        except asyncio.CancelledError:
            # Nobody cancelled whoever waits here.
            if self._stopped:
                raise Refused("closed", "it is followed no more") from None
            raise

    def reread(self) -> None:
        """The position is lost: reads once more. What is raised then goes to ``fault``."""
        self._hold()
        self._again.set()
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read())
            self._reading.add_done_callback(self._reported)

    def stop(self) -> None:
        """Reads no more; whoever waits for the first time is told `closed`."""
        self._stopped = True
        if self._reading is not None:
            self._reading.cancel()

    def _hold(self) -> None:
        self._stream.following.want(self.channels, self._options, held=True)

    async def _read(self) -> None:
        while True:
            self._again.clear()
            snapshot = await self._fetched()
            if self._again.is_set():
                continue
            # Shown before anything after it can be delivered: nothing is awaited in between.
            self._shown(snapshot.state)
            self._stream.following.release(self.channels, snapshot.cursor)
            confirmed = self._stream.ask(self.channels)
            lost = asyncio.create_task(self._again.wait())
            either: set[asyncio.Future[Any]] = {confirmed, lost}
            try:
                await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            finally:
                lost.cancel()
            # Confirmed as lost: what was shown is of no use.
            if not self._again.is_set():
                await confirmed
                return
            confirmed.cancel()

    def _shown(self, state: Any) -> None:
        try:
            self._show(state)
        except Exception as error:
            self._fault(error)

    async def _fetched(self) -> Snapshot:
        backoff = Backoff()
        while True:
            try:
                snapshot = await self._fetch()
                snapshot.require(self.channels)
                return snapshot
            except Unanswered:
                await asyncio.sleep(backoff.delay())
            except Refused as refused:
                if refused.code not in _NOT_NOW and not refused.code.startswith("http_5"):
                    self._stream.drop(self.channels)
                    raise
                await asyncio.sleep(backoff.delay(refused.retry_after))

    def _reported(self, reading: asyncio.Task[None]) -> None:
        if not reading.cancelled() and isinstance(error := reading.exception(), Exception):
            self._fault(error)
