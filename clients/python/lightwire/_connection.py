"""The life of a client: connect, live, wait, and again, until it is closed or told to stay away."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from ._backoff import Backoff
from ._codec import Message
from ._errors import Ended, Refused
from ._link import Link
from ._medium import LOST, Medium
from ._opening import Opening
from ._outbox import Outbox, refusal_in
from ._stream import Stream
from ._tokens import TokenSource

Status = Literal["connecting", "connected", "waiting", "closed"]

_GREETING_SECONDS = 10.0
# A connection that has lived this long was a good one: the next delay is a short one again.
_LIVED_SECONDS = 2.0
# On polling only because nothing better got through, this long until that is looked at again.
_POLLING_SECONDS_MAX = 600.0


@dataclass(frozen=True)
class Registration:
    """What the client says that it is."""

    client_type: str
    client_name: str | None

    def message(self) -> Message:
        """The `register` message."""
        named = {} if self.client_name is None else {"client_name": self.client_name}
        return {"type": "register", "client_type": self.client_type, **named}


class Connection:
    """Owns the line of the moment. ``on_status`` is told of each change, ``on_message`` what is no event."""

    def __init__(
        self,
        opening: Opening,
        tokens: TokenSource,
        registration: Registration,
        stream: Stream,
        outbox: Outbox,
        *,
        on_status: Callable[[Status, str | None], None],
        on_message: Callable[[Message], None],
        on_fault: Callable[[Exception], None],
        gives_way: bool,
    ) -> None:
        self.status: Status = "waiting"
        self.link: Link | None = None
        self.ended: Ended | None = None
        self._opening = opening
        self._tokens = tokens
        self._registration = registration
        self._stream = stream
        self._outbox = outbox
        self._on_status = on_status
        self._on_message = on_message
        self._on_fault = on_fault
        self._gives_way = gives_way
        self._refreshing: asyncio.Task[None] | None = None
        # What the line of the moment has shown.
        self._shown: str | None = None
        self._changed = asyncio.Event()
        self._woken = asyncio.Event()

    async def until_connected(self) -> Link:
        """Waits for a line. Raises Refused when there will be none."""
        while True:
            if self.status == "closed":
                code = self.ended.code if self.ended else "closed"
                raise Refused(code, self.ended.reason if self.ended else "the client is closed")
            if self.link is not None and self.status == "connected":
                return self.link
            self._changed.clear()
            await self._changed.wait()

    def end(self, ended: Ended | None) -> None:
        """No more tries."""
        self.ended = ended
        self._show("closed", ended.code if ended else None)

    async def run(self) -> None:
        """Lives until an end that is final; then returns."""
        backoff = Backoff()
        clock = asyncio.get_running_loop().time
        while True:
            self._show("connecting", None)
            began = clock()
            try:
                ended = await self._live()
            except Ended as error:
                ended = error
            except Exception as error:
                # A bug, or a getToken that fails: neither may end the stream.
                self._on_fault(error)
                ended = Ended("failed", str(error))
            if self.link is not None:
                backoff.ease()
                if clock() - began > _LIVED_SECONDS:
                    backoff.reset()
            self.link = None
            if ended.wants_token:
                self._tokens.spend()
            if ended.final:
                self.end(ended)
                return
            self._show("waiting", ended.code)
            delay = backoff.delay(ended.retry_after, exact=ended.exact)
            if ended.retry_after is not None:
                await asyncio.sleep(delay)
            else:
                await self._wait(delay, backoff)

    def wake(self) -> None:
        """Something has changed that may help: tries again now, unless the server asked for patience."""
        self._woken.set()

    async def _wait(self, delay: float, backoff: Backoff) -> None:
        self._woken.clear()
        try:
            await asyncio.wait_for(self._woken.wait(), delay)
            backoff.reset()
        except asyncio.TimeoutError:
            pass

    async def _live(self) -> Ended:
        self._shown = await self._tokens.current()
        medium = await self._opening.open(self._shown)
        link = Link(medium)
        try:
            await asyncio.wait_for(link.greet(), _GREETING_SECONDS)
            self._opening.greeted(medium.name, True)
            self.link = link
            return await self._follow(link, medium)
        except asyncio.TimeoutError:
            self._opening.greeted(medium.name, False)
            return Ended("timeout", "the server did not say hello")
        except asyncio.CancelledError:
            await medium.close()
            raise
        finally:
            self._stream.detach()
            if self._refreshing is not None:
                self._refreshing.cancel()
            medium.abort()

    async def _follow(self, link: Link, medium: Medium) -> Ended:
        link.ask(self._registration.message(), self._registered)
        self._stream.attach(link)
        draining = asyncio.create_task(self._outbox.drain(link))
        if self._gives_way and medium.name == "poll":
            better = Ended("1000", "to try a better way", retry_after=0.0, exact=True)
            asyncio.get_running_loop().call_later(_POLLING_SECONDS_MAX, link.end, better)
        try:
            return await link.run(self._take, self._stream.pong)
        finally:
            draining.cancel()

    def _registered(self, reply: Message | None) -> None:
        if reply is None:
            return
        if reply["type"] != "error":
            return self._show("connected", None)
        refused = refusal_in(reply)
        # Where no token was shown there will be none.
        final = refused.code == "unauthenticated" and self._tokens.held is None
        if self.link is not None:
            self.link.end(Ended(refused.code, refused.message, final=final, retry_after=refused.retry_after))

    def _take(self, message: Message) -> None:
        kind = message["type"]
        if message is LOST:
            self._stream.repair()
        elif kind == "batch" or "seq" in message:
            self._stream.take(message)
        elif kind == "token_expiring":
            if self._refreshing is None or self._refreshing.done():
                self._refreshing = asyncio.create_task(self._refresh())
        elif kind == "error":
            self._on_fault(refusal_in(message))
        else:
            self._on_message(message)

    async def _refresh(self) -> None:
        """A new token in band; what fails is tried again until the server has had enough."""
        backoff = Backoff()
        while True:
            after: float | None = None
            try:
                token = await self._tokens.renew()
                # The same as before would be as near its end.
                if token is not None and token != self._shown:
                    return await self._authenticate(token)
            except Refused as refused:
                after = refused.retry_after
                self._on_fault(refused)
            except Exception as error:
                self._on_fault(error)
            await asyncio.sleep(backoff.delay(after))

    async def _authenticate(self, token: str) -> None:
        """Shows another token on the line, while there is one. Raises Refused where it was not looked at."""
        link = self.link
        if link is None:
            return
        link.medium.show(token)
        settled: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def answered(reply: Message | None) -> None:
            # At once: what is confirmed behind it belongs to the new token.
            if reply is not None and reply["type"] == "authenticated":
                self._shown = token
                self._stream.limit(reply["channels"])
            if settled.done():
                return
            if reply is not None and reply["type"] == "error":
                settled.set_exception(refusal_in(reply))
            else:
                settled.set_result(None)

        link.ask({"type": "auth", "token": token}, answered)
        await settled

    def _show(self, status: Status, code: str | None) -> None:
        if status != self.status or status == "closed":
            self.status = status
            self._on_status(status, code)
        self._changed.set()
        if status == "closed":
            self._stream.close()
            self._outbox.close()


def closed(ended: Ended | None) -> Refused:
    """What a closed client says to whoever asks."""
    return Refused("closed", "the client is closed" if ended is None else f"it was told to stay away: {ended}")
