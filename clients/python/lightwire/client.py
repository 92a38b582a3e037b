"""The client: a connection that keeps itself up, and everything that an application says and hears over it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any

from ._codec import Codec, Framing, Message
from ._connection import Connection, Registration, Status, closed
from ._errors import Ended, Refused
from ._following import Event, Options, parse_kept
from ._handlers import Handlers
from ._medium import Transport
from ._opening import Opening
from ._outbox import Outbox, Published, refusal_in
from ._rest import Rest
from ._snapshot import Fetch, Follow
from ._storage import CursorKeeper, CursorStorage
from ._stream import Stream
from ._tokens import GetToken, TokenSource
from .events import TypedHandlers

# Requests that wait for their reply at once; more are refused with `queue_full`.
_REQUESTS_MAX = 256
# Over the time that a goodbye takes.
_LEAVING_SECONDS = 3.0


class Client(TypedHandlers):
    """A client of the server at ``url`` (`http://…` or `https://…`), to be used in one event loop.

    ``get_token`` is asked for a token whenever one is needed, never twice at once; without it none is shown.
    ``storage`` keeps the cursor between two lives. ``outbox_size`` bounds the publishes that wait. ``transport``
    forces one way; without it polling is tried where no WebSocket gets through. ``tls`` is for `https`, where the
    system's certificates do not do. Handlers are plain functions, called in the loop, in order; what takes long they
    leave to a task or a thread.
    """

    def __init__(
        self,
        url: str,
        get_token: GetToken | None = None,
        *,
        client_type: str = "gui",
        client_name: str | None = None,
        storage: CursorStorage | None = None,
        framing: Framing = "json",
        transport: Transport | None = None,
        outbox_size: int = 1000,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        url = url.rstrip("/")
        self._codec = Codec(framing)
        self._handlers = Handlers()
        self._tokens = TokenSource(get_token)
        self._stream = Stream(self._deliver, self._lose, self._handlers.report)
        self._outbox = Outbox(outbox_size, self._codec)
        #: The REST API: `await client.rest.call("POST", "/api/approval/7/approve")`, `await client.rest.read(path)`.
        self.rest = Rest(url, self._tokens, tls)
        self._follows: list[Follow] = []
        self._keeper = CursorKeeper(storage, lambda: self.cursor, self._handlers.report)
        self._loaded = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._connection = Connection(
            Opening(url, self._codec, client_type, transport, tls),
            self._tokens,
            Registration(client_type, client_name),
            self._stream,
            self._outbox,
            on_status=lambda status, code: self._handlers.call("status", status, code),
            on_message=lambda message: self._handlers.call("message", message),
            on_fault=self._handlers.report,
            gives_way=transport is None,
        )

    def start(self) -> None:
        """Begins to connect, and keeps at it; returns at once."""
        if not self._tasks:
            self._tasks = [asyncio.create_task(self._run()), asyncio.create_task(self._keeper.run())]

    async def connect(self) -> None:
        """Starts, and waits for the first connection. Raises Refused where the server will have none."""
        self.start()
        await self._connection.until_connected()

    def wake(self) -> None:
        """Cuts a wait for the next try short, say when the network is back; a wait that the server asked for is kept."""
        self._connection.wake()

    async def close(self) -> None:
        """Leaves. Who waits for an answer gets Refused `closed`; the cursor is saved."""
        for follow in self._follows:
            follow.stop()
        tasks, self._tasks = self._tasks, []
        while tasks:
            # Again where it had no effect: before Python 3.12 `wait_for` forgets it when what it waits for has just come.
            for task in tasks:
                task.cancel()
            tasks = list((await asyncio.wait(tasks, timeout=_LEAVING_SECONDS))[1])
        if self._connection.status != "closed":
            self._connection.end(None)
        # Who waits for a start waits no more.
        self._loaded.set()
        await self._keeper.save()

    async def __aenter__(self) -> Client:
        try:
            await self.connect()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def status(self) -> Status:
        """`connecting`, `connected`, `waiting` (for the next try), or `closed`, which is final."""
        return self._connection.status

    @property
    def transport(self) -> Transport | None:
        """What carries messages now."""
        link = self._connection.link
        return link.medium.name if link else None

    @property
    def tokens_asked(self) -> int:
        """How often ``get_token`` was called."""
        return self._tokens.asked

    @property
    def cursor(self) -> str | None:
        """How far everything subscribed is applied: an event's handlers see it included. Several, one per epoch and with
        a space between, while not all of it was confirmed since a restart of the server."""
        return self._stream.following.cursor()

    def on_event(self, handler: Callable[[Event], None]) -> Callable[[], None]:
        """Every event; `on(type, handler)` is for one type. As all of these, returns what takes the handler away."""
        return self._handlers.add("event", handler)

    def on_status(self, handler: Callable[[Status, str | None], None]) -> Callable[[], None]:
        """Each change of the status, with the code of what ended the last connection."""
        return self._handlers.add("status", handler)

    def on_state_lost(self, handler: Callable[[list[str]], None]) -> Callable[[], None]:
        """Channels where something was missed for good: read the state again. What follows is newer."""
        return self._handlers.add("lost", handler)

    def on_message(self, handler: Callable[[Message], None]) -> Callable[[], None]:
        """An operator's message: neither an event nor the protocol's own."""
        return self._handlers.add("message", handler)

    def on_error(self, handler: Callable[[Exception], None]) -> Callable[[], None]:
        """What goes wrong while nobody waits: a handler or ``get_token`` that raises, a channel refused later on."""
        return self._handlers.add("error", handler)

    def _on(self, name: str, handler: Callable[[Any], None]) -> Callable[[], None]:
        return self._handlers.add(f"event {name}", handler)

    async def subscribe(
        self,
        channels: Sequence[str],
        *,
        where: Mapping[str, Any] | None = None,
        batch_ms: int | None = None,
        conflate: bool = False,
    ) -> list[str]:
        """Follows channels, from where an earlier life stood, else from now on; everything subscribed then.

        Kept over reconnects. Without a connection it waits for one. Raises Refused (`forbidden`, `unknown_channel`,
        `too_many_subscriptions`, `invalid_message`, `too_large`, `closed`), or TypeError or ValueError where ``where`` is
        no JSON; then nothing has changed.
        """
        self._require_open()
        options = self._options(where, batch_ms, conflate)
        await self._loaded.wait()
        return await self._stream.subscribe(channels, options)

    async def unsubscribe(self, channels: Sequence[str]) -> list[str]:
        """Follows channels no more, at once; what is subscribed still."""
        self._require_open()
        for follow in [follow for follow in self._follows if set(follow.channels) & set(channels)]:
            follow.stop()
            self._follows.remove(follow)
        self._stream.drop(channels)
        if self._connection.link is not None:
            try:
                await self.request({"type": "unsubscribe", "channels": list(channels)})
            except Refused as refused:
                # A new line begins without them.
                if refused.code != "timeout":
                    raise
        return sorted(self._stream.following.places)

    async def publish(self, event: Mapping[str, Any], *, key: str | None = None, command: bool = False) -> Published:
        """Publishes an event, once, whatever happens to the line; returns when it is durable.

        Waits in a queue while there is no line: over its bound Refused `queue_full`, at once. An event of more than
        64 KiB is `too_large`, one that is no JSON a TypeError or ValueError, before it is queued. Order is kept. ``key``
        makes repeats of an earlier life the same act.
        """
        self._require_open()
        return await self._outbox.add(event, key, command)

    async def request(self, message: Mapping[str, Any], *, timeout: float = 10.0) -> Message:
        """Sends a message and waits for its reply, at most ``timeout`` seconds. It is not sent again.

        Raises Refused: the reply's code, `too_large`, or `timeout` when the line was cut or nothing came; then nobody
        knows whether it was acted on. What is no JSON is a TypeError or ValueError.
        """
        self._require_open()
        sent = self._codec.sendable(dict(message))

        async def asked() -> Message | None:
            link = await self._connection.until_connected()
            if link.waiting >= _REQUESTS_MAX:
                raise Refused("queue_full", f"{_REQUESTS_MAX} requests wait for their reply")
            return await link.reply_to(sent, patient=True)

        try:
            reply = await asyncio.wait_for(asked(), timeout)
        except asyncio.TimeoutError:
            raise Refused("timeout", f"no answer within {timeout:g} s") from None
        if reply is None:
            raise Refused("timeout", "the line was cut before an answer came")
        if reply["type"] == "error":
            raise refusal_in(reply)
        return reply

    async def snapshot_then_follow(
        self,
        fetch: Fetch,
        channels: Sequence[str],
        show: Callable[[Any], None],
        *,
        where: Mapping[str, Any] | None = None,
        batch_ms: int | None = None,
        conflate: bool = False,
    ) -> None:
        """Reads a state by ``fetch`` (`lambda: client.rest.read('/api/…')`) for ``show``, then gives every event after
        it to the handlers: nothing is missed, nothing comes twice. Whenever the position is lost it reads and shows
        again, and `on_state_lost` is not told. Raises what `subscribe` and ``fetch`` raise, and Refused `malformed` where
        the state has no cursor for the channels.
        """
        self._require_open()
        options = self._options(where, batch_ms, conflate)
        follow = Follow(self._stream, fetch, channels, options, show, self._handlers.report)
        self._follows.append(follow)
        try:
            await follow.begin()
        except BaseException:
            follow.stop()
            if follow in self._follows:
                self._follows.remove(follow)
            raise

    def _options(self, where: Mapping[str, Any] | None, batch_ms: int | None, conflate: bool) -> Options:
        options = Options(None if where is None else dict(where), batch_ms, conflate)
        return replace(options, where=self._codec.sendable({"type": "subscribe", **options.fields()}).get("where"))

    def _require_open(self) -> None:
        if self._connection.status == "closed":
            raise closed(self._connection.ended)

    def _deliver(self, event: Event) -> None:
        self._handlers.call(f"event {event['type']}", event)
        self._handlers.call("event", event)

    def _lose(self, channels: list[str]) -> None:
        left = set(channels)
        for follow in self._follows:
            if left & set(follow.channels):
                left -= set(follow.channels)
                follow.reread()
        if left:
            self._handlers.call("lost", sorted(left))

    async def _run(self) -> None:
        try:
            self._stream.following.stored.update(parse_kept(await self._keeper.load()))
        except ValueError as error:
            self._handlers.report(error)
        self._loaded.set()
        try:
            await self._connection.run()
        except Exception as error:
            # A bug: better closed than silent.
            self._handlers.report(error)
            self._connection.end(Ended("failed", repr(error), final=True))
