"""What carries messages: the face that a WebSocket and a polling session share."""

from __future__ import annotations

from typing import Literal, Protocol

from ._codec import Message

Transport = Literal["websocket", "poll"]

#: Received where messages were lost on the way, though the connection lives: events are to be asked for again.
LOST: Message = {"type": "lost"}


class Medium(Protocol):
    """One connection's way in and out. Every method may raise Ended; from then on nothing more is to be had of it."""

    name: Transport
    #: Whether silence has to be broken by pings; a poll shows by itself that the other end is there.
    needs_ping: bool

    async def send(self, message: Message) -> None:
        """Hands a message over; messages are sent in their order."""

    async def receive(self) -> Message:
        """The next message, replies among them."""

    def show(self, token: str | None) -> None:
        """The token to show from now on, where each call shows one."""

    async def close(self) -> None:
        """Says goodbye, and waits for it a moment at most. Raises nothing."""

    def abort(self) -> None:
        """Ends it at once."""
