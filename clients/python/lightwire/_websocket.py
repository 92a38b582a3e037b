"""Messages over a WebSocket: hides the library `websockets`, from 10.4 to its newest."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import websockets
import websockets.exceptions as failures
from websockets.version import version

from ._codec import FRAME_BYTES_MAX, Codec, Message
from ._errors import Ended, ended_by_close, ended_by_refusal
from ._http import refusal_of
from ._medium import Transport

# Its asyncio client was written anew in 14.0, and the keyword got another name.
_HEADERS = "additional_headers" if int(version.split(".")[0]) >= 14 else "extra_headers"
_GOODBYE_SECONDS = 0.5


class WebSocketMedium:
    """A WebSocket that is open. Pings of the server are answered by the library, which shows none of them."""

    name: Transport = "websocket"
    needs_ping = True

    def __init__(self, socket: Any, codec: Codec) -> None:
        self._socket = socket
        self._codec = codec

    @classmethod
    async def open(
        cls, url: str, token: str | None, codec: Codec, timeout: float, tls: ssl.SSLContext | None
    ) -> WebSocketMedium:
        """Connects to the server at the http(s) ``url`` within ``timeout`` seconds. Raises Ended."""
        options: dict[str, Any] = {} if token is None else {_HEADERS: {"Authorization": f"Bearer {token}"}}
        if tls is not None:
            options["ssl"] = tls
        try:
            # Chosen by the library's version when it is first used, so its type is not known here.
            connect: Any = getattr(websockets, "connect")  # noqa: B009
            socket = await connect(
                socket_url(url),
                subprotocols=[codec.subprotocol],
                open_timeout=timeout,
                # Ours are messages, whose pong says how far the stream is.
                ping_interval=None,
                close_timeout=_GOODBYE_SECONDS,
                # Batches of the framing deflate are compressed already.
                compression=None,
                max_size=FRAME_BYTES_MAX,
                **options,
            )
        except Exception as error:
            raise _unopened(error) from error
        return cls(socket, codec)

    async def send(self, message: Message) -> None:
        try:
            await self._socket.send(self._codec.encode(message))
        except failures.ConnectionClosed as error:
            raise _closed(error) from error

    async def receive(self) -> Message:
        try:
            return self._codec.decode(await self._socket.recv())
        except failures.ConnectionClosed as error:
            raise _closed(error) from error
        except ValueError as error:
            raise Ended("invalid_message", f"a frame that cannot be read: {error}") from error

    def show(self, token: str | None) -> None:
        """A socket shows its token at the upgrade only, and then in messages."""

    async def close(self) -> None:
        try:
            await asyncio.wait_for(self._socket.close(), 2 * _GOODBYE_SECONDS)
        except Exception:
            pass
        self.abort()

    def abort(self) -> None:
        transport = self._socket.transport
        if transport is not None:
            transport.abort()


def socket_url(url: str) -> str:
    """`http://host` → `ws://host/ws`."""
    parts = urlsplit(url)
    scheme = {"http": "ws", "https": "wss"}.get(parts.scheme, parts.scheme)
    return urlunsplit((scheme, parts.netloc, parts.path.rstrip("/") + "/ws", "", ""))


def _closed(error: failures.ConnectionClosed) -> Ended:
    if error.rcvd is None:
        return ended_by_close(1006, "the connection was cut")
    return ended_by_close(error.rcvd.code, error.rcvd.reason)


def _unopened(error: Exception) -> Ended:
    """Why there is no WebSocket; ``blocked`` where somebody is there, but speaks another language."""
    response = getattr(error, "response", None)
    status = getattr(response, "status_code", None) or getattr(error, "status_code", None)
    if status is not None:
        headers = getattr(response, "headers", None) or getattr(error, "headers", {})
        refused = refusal_of(status, getattr(response, "body", None) or b"", headers)
        ended = ended_by_refusal(refused)
        ended.blocked = refused.code.startswith("http_") and status not in (429, 502, 503, 504)
        return ended
    if isinstance(error, OSError) and not isinstance(error, (asyncio.TimeoutError, ConnectionResetError)):
        return Ended("unreachable", str(error))
    # Silence, an early end, or an answer that is no answer to an upgrade.
    return Ended("unreachable", str(error) or type(error).__name__, blocked=True)
