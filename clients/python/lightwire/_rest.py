"""The REST API with the client's token: a change happens once, by its key."""

from __future__ import annotations

import asyncio
import ssl
import uuid

from ._errors import Refused
from ._http import Answer, Unanswered, request
from ._snapshot import Snapshot
from ._tokens import TokenSource

_AT_ONCE_MAX = 8


class Rest:
    """Requests of the server at ``url``; more than a few at once wait for one another."""

    def __init__(self, url: str, tokens: TokenSource, tls: ssl.SSLContext | None) -> None:
        self._url = url
        self._tokens = tokens
        self._tls = tls
        # Each has a thread of its own.
        self._room = asyncio.Semaphore(_AT_ONCE_MAX)

    async def call(
        self, method: str, path: str, body: object = None, *, key: str | None = None, timeout: float = 15.0
    ) -> Answer:
        """A request; anything but a GET carries an `Idempotency-Key`, ``key`` or one of its own.

        Sent again once where no answer came, or with a new token where the old one had expired. Raises Refused with
        the problem's code, or Unanswered.
        """
        headers = {} if method == "GET" else {"Idempotency-Key": key or str(uuid.uuid4())}
        for again in (True, False):
            try:
                token = await self._tokens.current()
            except Exception as error:
                raise Unanswered(f"there is no token to ask with: {error!r}") from error
            try:
                async with self._room:
                    return await request(
                        method,
                        self._url + path,
                        token=token,
                        body=body,
                        headers=headers,
                        timeout=timeout,
                        tls=self._tls,
                    )
            except Refused as refused:
                if refused.code != "unauthenticated" or not again:
                    raise
                self._tokens.spend()
            except Unanswered:
                if not again:
                    raise
        raise AssertionError

    async def read(self, path: str) -> Snapshot:
        """The state at a path, with the cursor of that very state. Raises as `call`."""
        answer = await self.call("GET", path)
        return Snapshot(answer.body, answer.cursor)
