"""One connection's life: what is sent, which reply belongs to what, and whether the other end is still there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ._codec import Message
from ._errors import Ended, ended_by_disconnect
from ._medium import LOST, Medium

#: Called with the reply, or with None when the connection ended before there was one.
Answered = Callable[["Message | None"], None]

# Longest that the protocol's own messages go unanswered on a line that is fine; then it is not.
_REPLY_SECONDS_MAX = 30.0
_SILENCE = 1.5
_LAST_WORDS_SECONDS = 1.0


class Link:
    """A connection that is open. ``run`` is its life; everything else may be called while it runs."""

    def __init__(self, medium: Medium) -> None:
        self.medium = medium
        self._outgoing: asyncio.Queue[Message] = asyncio.Queue()
        self._waiting: dict[int, tuple[Answered, float | None]] = {}
        self._asked = 0
        self._heard = 0.0
        self._heartbeat = 30.0
        self._ended: asyncio.Future[Ended] = asyncio.get_running_loop().create_future()

    async def greet(self) -> Message:
        """Waits for `connection_established`. Raises Ended."""
        while True:
            message = await self.medium.receive()
            if message["type"] == "disconnect":
                raise ended_by_disconnect(message)
            if message is LOST:
                raise Ended("unreachable", "the greeting was lost")
            if message["type"] == "connection_established":
                self._heartbeat = message["heartbeat_ms"] / 1000
                return message

    @property
    def waiting(self) -> int:
        """How many messages wait to be sent, or for their reply."""
        return max(len(self._waiting), self._outgoing.qsize())

    def end(self, ended: Ended) -> None:
        """Ends it from this side, for that reason."""
        if not self._ended.done():
            self._ended.set_result(ended)

    def ask(self, message: Message, answered: Answered, *, patient: bool = False) -> int:
        """Sends a message, and returns its number; ``answered`` is called in the order of the stream, before anything that came later.

        Without an answer in time the connection counts as dead, unless ``patient``.
        """
        self._asked += 1
        late = None if patient else asyncio.get_running_loop().time() + _REPLY_SECONDS_MAX
        self._waiting[self._asked] = (answered, late)
        self._outgoing.put_nowait({**message, "id": self._asked})
        return self._asked

    async def reply_to(self, message: Message, *, patient: bool = False) -> Message | None:
        """Sends a message and waits for its reply; None when the connection ended before there was one."""
        answer: asyncio.Future[Message | None] = asyncio.get_running_loop().create_future()

        def answered(reply: Message | None) -> None:
            if not answer.done():
                answer.set_result(reply)

        number = self.ask(message, answered, patient=patient)
        try:
            return await answer
        finally:
            # Whoever waits no more makes room for others.
            self._waiting.pop(number, None)

    async def run(self, take: Callable[[Message], None], on_pong: Callable[[Message], None]) -> Ended:
        """Sends and receives until the connection is over; how it ended. ``take`` gets what is no reply."""
        self._heard = asyncio.get_running_loop().time()
        parts = (self._receive(take), self._send(), self._watch(on_pong), self._leave())
        tasks = [asyncio.create_task(part) for part in parts]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            # What the server said last goes before what a send met with.
            errors = [task.exception() for task in tasks if task in done]
            for error in errors:
                if isinstance(error, Ended):
                    return error
            raise errors[0] or RuntimeError("a part of a connection ended by itself")
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            waiting, self._waiting = self._waiting, {}
            for answered, _ in waiting.values():
                answered(None)

    async def _receive(self, take: Callable[[Message], None]) -> None:
        loop = asyncio.get_running_loop()
        while True:
            message = await self.medium.receive()
            self._heard = loop.time()
            answered, _ = self._waiting.pop(message.get("id", 0), (None, None))
            if answered is not None:
                answered(message)
            elif message["type"] == "disconnect":
                raise ended_by_disconnect(message)
            elif "id" not in message:
                # With one it is a reply for which nobody waits any more.
                take(message)

    async def _send(self) -> None:
        try:
            while True:
                await self.medium.send(await self._outgoing.get())
        except Ended:
            # The reason, where there is one, waits to be read.
            await asyncio.sleep(_LAST_WORDS_SECONDS)
            raise

    async def _leave(self) -> None:
        raise await self._ended

    async def _watch(self, on_pong: Callable[[Message], None]) -> None:
        """Breaks the silence, and ends a connection that is silent all the same."""
        loop = asyncio.get_running_loop()
        owed = False

        def ponged(reply: Message | None) -> None:
            nonlocal owed
            owed = False
            if reply is not None and reply["type"] == "pong":
                on_pong(reply)

        pinged = loop.time()
        while True:
            await asyncio.sleep(self._heartbeat / 4)
            now = loop.time()
            if any(late is not None and now > late for _, late in self._waiting.values()):
                raise Ended("timeout", "a message was not answered")
            if not self.medium.needs_ping:
                continue
            if now - self._heard > _SILENCE * self._heartbeat:
                raise Ended("timeout", "nothing was heard for too long")
            if now - pinged >= self._heartbeat and not owed:
                pinged, owed = now, True
                self.ask({"type": "ping"}, ponged, patient=True)
