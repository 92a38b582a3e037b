"""Messages over a polling session (PROTOCOL §6): the same messages where no WebSocket gets through.

A lost answer does not end it: what was in a poll's is asked for again, and what was sent is sent again where that does
no harm.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections import deque
from typing import Any, TypeVar
from urllib.parse import quote

from ._codec import Message
from ._errors import Ended, Refused, ended_by_refusal
from ._http import Unanswered, request
from ._medium import LOST, Transport

_T = TypeVar("_T")

_CALL_SECONDS_MAX = 10.0
# A poll is answered within 0.8 s, though a long answer may take its time.
_SILENCE_SECONDS = 5.0
_POLL_SECONDS_MAX = 30.0
# Polls in a row of which nothing came, until the session is given up.
_LOST_POLLS_MAX = 3
# Sent twice these do what they do once.
_REPEATABLE = frozenset({"register", "subscribe", "unsubscribe", "auth"})
_GOODBYE_SECONDS = 1.0
_MESSAGES = '"messages":['
# What a refused call says about the session rather than about its message.
_OF_SESSION = frozenset({"not_found", "unauthenticated", "invalid_token", "forbidden", "host_refused", "origin_refused"})


class PollingMedium:
    """A polling session that has begun."""

    name: Transport = "poll"
    needs_ping = False

    def __init__(self, url: str, token: str | None, client_id: str, tls: ssl.SSLContext | None) -> None:
        self._url = url
        self._token = token
        self._tls = tls
        self._client_id = client_id
        self._inbox: deque[Message | Ended] = deque()
        self._arrived = asyncio.Event()
        self._polling: asyncio.Task[None] | None = None
        self._lost_polls = 0
        self._leaving: asyncio.Task[None] | None = None
        # A poll's answer must not overtake the confirmation that its events belong to.
        self._order = asyncio.Lock()

    @classmethod
    async def open(
        cls, url: str, token: str | None, client_type: str, timeout: float, tls: ssl.SSLContext | None
    ) -> PollingMedium:
        """Begins a session with the server at the http(s) ``url`` within ``timeout`` seconds. Raises Ended."""
        url = url.rstrip("/")
        body = {"client_type": client_type, "protocol_version": "1"}
        medium = cls(url, token, "", tls)
        medium._client_id = _checked(str, await medium._call("POST", "/ws/handshake", body, timeout, "client_id"))
        return medium

    async def send(self, message: Message) -> None:
        if message["type"] == "subscribe":
            async with self._order:
                await self._send(message)
        else:
            await self._send(message)

    async def _send(self, message: Message, *, again: bool = False) -> None:
        body = {"client_id": self._client_id, "message": message}
        try:
            response = await self._call("POST", "/ws/send", body, _CALL_SECONDS_MAX, "response")
        except Ended as ended:
            cause = ended.__cause__
            if isinstance(cause, Unanswered) and not again:
                if message["type"] in _REPEATABLE or "key" in message:
                    return await self._send(message, again=True)
                cause = Refused("timeout", "no answer came")
            if not isinstance(cause, Refused) or cause.code in _OF_SESSION or cause.code.startswith("http_"):
                raise
            response = _as_message(cause, message)
        if response is not None:
            self._put(_as_read(response))

    async def receive(self) -> Message:
        while not self._inbox:
            self._arrived.clear()
            # Asked for only when everything was taken, so that what waits is bounded, and waits with the server.
            if self._polling is None or self._polling.done():
                self._polling = asyncio.create_task(self._poll())
            await self._arrived.wait()
        message = self._inbox.popleft()
        if isinstance(message, Ended):
            raise message
        return message

    async def _poll(self) -> None:
        try:
            await self._polled()
        except Exception as error:
            # Whatever it is: untold, nobody would poll again.
            self._put(error if isinstance(error, Ended) else Ended("unreachable", f"a poll failed: {error!r}"))
        self._arrived.set()

    async def _polled(self) -> None:
        path = f"/ws/poll?client_id={quote(self._client_id)}"
        then: Message | Ended | None = None
        try:
            messages = await self._call("GET", path, None, _POLL_SECONDS_MAX, "messages", _SILENCE_SECONDS)
        except Ended as ended:
            # What came whole counts: else a line that is always cut before the end of an answer would never get on.
            messages = whole_messages(getattr(ended.__cause__, "partial", b""))
            self._lost_polls = 0 if messages else self._lost_polls + 1
            gone = not isinstance(ended.__cause__, Unanswered) or self._lost_polls >= _LOST_POLLS_MAX
            then = ended if gone else LOST
        else:
            self._lost_polls = 0
        async with self._order:
            for message in map(_as_read, _checked(list, messages)):
                if message["type"] == "connection_established" and message["client_id"] != self._client_id:
                    self._client_id = _checked(str, message["client_id"])
                    then = Ended("1006", "the session is gone; another has begun")
                    break
                self._put(message)
            if then is not None:
                self._put(then)

    def _put(self, message: Message | Ended) -> None:
        self._inbox.append(message)
        self._arrived.set()

    def show(self, token: str | None) -> None:
        self._token = token

    async def close(self) -> None:
        self.abort()
        if self._leaving is not None:
            await self._leaving

    def abort(self) -> None:
        if self._polling is not None:
            self._polling.cancel()
        # Said even when nobody waits for it: a subject may have a hundred sessions, each kept for most of a minute.
        if self._leaving is None:
            self._leaving = asyncio.create_task(self._leave())

    async def _leave(self) -> None:
        try:
            await self._call("POST", "/ws/disconnect", {"client_id": self._client_id}, _GOODBYE_SECONDS, "success")
        except Ended:
            pass

    async def _call(
        self, method: str, path: str, body: object, timeout: float, field: str, silence: float | None = None
    ) -> Any:
        """The field of a good answer."""
        try:
            answer = await request(
                method,
                self._url + path,
                token=self._token,
                body=body,
                timeout=timeout,
                silence=silence,
                tls=self._tls,
            )
            return answer.body[field]
        except Refused as refused:
            raise ended_by_refusal(refused) from refused
        except Unanswered as error:
            raise Ended("unreachable", str(error)) from error
        except (TypeError, KeyError) as error:
            raise Ended("unreachable", "an answer that is none of the server's") from error


def whole_messages(partial: bytes) -> list[Message]:
    """The messages that are whole in the beginning of a poll's answer."""
    text = partial.decode(errors="ignore")
    decoder, messages = json.JSONDecoder(), []
    at = text.find(_MESSAGES) + len(_MESSAGES)
    while at >= len(_MESSAGES) and text[at : at + 1] == "{":
        try:
            message, at = decoder.raw_decode(text, at)
        except ValueError:
            break
        messages.append(message)
        at += 1  # The comma.
    return messages


def _checked(kind: type[_T], value: object) -> _T:
    """The value, where it is of this kind. Raises Ended."""
    if not isinstance(value, kind):
        raise Ended("unreachable", "an answer that is none of the server's")
    return value


def _as_read(value: object) -> Message:
    """A message of an answer. Raises Ended for what is none."""
    message: Message = _checked(dict, value)
    _checked(str, message.get("type"))
    return message


def _as_message(refused: Refused, asked: Message) -> Message:
    """A refusal of the call, as the `error` that the message would have got."""
    error: Message = {"type": "error", "code": refused.code, "error": refused.message}
    if refused.retry_after is not None:
        error["retry_after_ms"] = int(refused.retry_after * 1000)
    if "id" in asked:
        error["id"] = asked["id"]
    return error
