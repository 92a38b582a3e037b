"""Publishes that wait: sent one after the other, kept over reconnects with their keys, so each happens once."""

from __future__ import annotations

import asyncio
import uuid
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ._codec import Codec, Message
from ._errors import Refused
from ._link import Link

# These say "not now": the same message may succeed, and with its key it happens once.
_NOT_NOW = frozenset({"rate_limited", "storage_unavailable", "draining", "unauthenticated"})
_NOT_NOW_SECONDS = 1.0


@dataclass(frozen=True)
class Published:
    """Where a publish stands in the journal."""

    event_type: str
    channel: str
    seq: int


@dataclass(frozen=True)
class _Entry:
    message: Message
    done: asyncio.Future[Published]


class Outbox:
    """Holds at most ``size`` publishes, each of which ``codec`` can encode: one that cannot be sent would stop the rest."""

    def __init__(self, size: int, codec: Codec) -> None:
        self._size = size
        self._codec = codec
        self._entries: deque[_Entry] = deque()
        self._filled = asyncio.Event()

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, event: Mapping[str, Any], key: str | None, command: bool) -> asyncio.Future[Published]:
        """Queues a publish; its future is resolved when it is durable. Raises Refused `queue_full`, and what `sendable` does."""
        if len(self._entries) >= self._size:
            raise Refused("queue_full", f"{self._size} publishes wait already")
        message: Message = {"type": "publish", "event": dict(event), "key": key or str(uuid.uuid4())}
        if command:
            message["command"] = True
        entry = _Entry(self._codec.sendable(message), asyncio.get_running_loop().create_future())
        self._entries.append(entry)
        self._filled.set()
        return entry.done

    async def drain(self, link: Link) -> None:
        """Sends what waits over this connection, in order, for as long as it lives.

        One at a time: a refusal for the rate counts against the connection, and order is kept across it.
        """
        while True:
            await self._filled.wait()
            if not self._entries:
                self._filled.clear()
                continue
            entry = self._entries[0]
            if entry.done.done():  # Whoever waited gave up before it was sent.
                self._entries.popleft()
                continue
            reply = await link.reply_to(entry.message)
            if reply is None:
                return
            if reply["type"] == "error" and reply["code"] in _NOT_NOW:
                await asyncio.sleep(reply.get("retry_after_ms", _NOT_NOW_SECONDS * 1000) / 1000)
                continue
            self._entries.popleft()
            _settle(entry.done, reply)

    def close(self) -> None:
        """Nothing more is sent: everybody who waits is told `closed`."""
        while self._entries:
            done = self._entries.popleft().done
            if not done.done():
                done.set_exception(Refused("closed", "the client is closed"))


def _settle(done: asyncio.Future[Published], reply: Message) -> None:
    if done.done():
        return
    if reply["type"] == "published":
        done.set_result(Published(reply["event_type"], reply["channel"], reply["seq"]))
    else:
        done.set_exception(refusal_in(reply))


def refusal_in(reply: Message) -> Refused:
    """What an `error` message says."""
    after = reply.get("retry_after_ms")
    return Refused(reply["code"], reply["error"], retry_after=None if after is None else after / 1000)
