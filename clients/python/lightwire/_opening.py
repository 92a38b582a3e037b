"""Which way to the server: a WebSocket, and a polling session where something in between lets none through."""

from __future__ import annotations

import asyncio
import ssl

from ._codec import Codec
from ._errors import Ended
from ._medium import Medium, Transport
from ._polling import PollingMedium
from ._websocket import WebSocketMedium

OPEN_SECONDS_MAX = 8.0
# Blocked tries in a row after which polling is tried: one may be a server that was just going down.
_BLOCKED_TRIES = 2


class Opening:
    """Opens connections. With ``transport`` given there is only that one."""

    def __init__(
        self, url: str, codec: Codec, client_type: str, transport: Transport | None, tls: ssl.SSLContext | None
    ) -> None:
        self._url = url
        self._codec = codec
        self._client_type = client_type
        self._transport = transport
        self._tls = tls
        self._blocked = 0

    async def open(self, token: str | None) -> Medium:
        """A connection over the way that is open, as far as is known. Raises Ended."""
        way = self._transport or ("poll" if self._blocked >= _BLOCKED_TRIES else "websocket")
        try:
            medium = await asyncio.wait_for(self._open(way, token), OPEN_SECONDS_MAX + 1)
        except asyncio.TimeoutError:
            self._blocked = _BLOCKED_TRIES if way == "websocket" else 0
            raise Ended("unreachable", "the server did not answer in time", blocked=True) from None
        except Ended as ended:
            # After a poll that led nowhere it is the WebSocket's turn again.
            self._blocked = self._blocked + 1 if ended.blocked and way == "websocket" else 0
            raise
        # Where polling works the WebSocket gets one try at each later turn.
        if way == "poll":
            self._blocked = _BLOCKED_TRIES - 1
        return medium

    def greeted(self, way: Transport, yes: bool) -> None:
        """Whether the greeting came: a WebSocket may be let through, and what it brings may not."""
        if way == "websocket":
            self._blocked = 0 if yes else self._blocked + 1

    async def _open(self, way: Transport, token: str | None) -> Medium:
        if way == "poll":
            return await PollingMedium.open(self._url, token, self._client_type, OPEN_SECONDS_MAX, self._tls)
        # The outer deadline is the one that counts: it tells silence from a refusal.
        return await WebSocketMedium.open(self._url, token, self._codec, 2 * OPEN_SECONDS_MAX, self._tls)
