"""The application's token: asked for when one is needed, once at a time, and shared by everybody who waits for it."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Awaitable, Callable

GetToken = Callable[[], Awaitable["str | None"]]

# An application that never answers must not hold up the next try for ever.
_ASK_SECONDS_MAX = 30.0
# A token that ends within a moment would be refused on arrival.
_LEEWAY_SECONDS = 2.0


class TokenSource:
    """Keeps the newest token as ``held``; ``asked`` counts the calls of ``get_token``."""

    def __init__(self, get_token: GetToken | None) -> None:
        self._get_token = get_token
        self.held: str | None = None
        self._asking: asyncio.Task[str | None] | None = None
        self.asked = 0

    def spend(self) -> None:
        """The held token is no good any more; the next who needs one asks."""
        self.held = None

    async def current(self) -> str | None:
        """The held token, or a new one where there is none or it has expired. Raises what ``get_token`` raises."""
        if self.held is not None and not _has_expired(self.held):
            return self.held
        return await self.renew()

    async def renew(self) -> str | None:
        """A new token; whoever asks meanwhile gets the same. Raises what ``get_token`` raises, or TimeoutError."""
        if self._get_token is None:
            return None
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask(self._get_token))
            # Where everybody has stopped waiting, nobody is told.
            self._asking.add_done_callback(lambda asking: asking.cancelled() or asking.exception())
        # Shielded: one who stops waiting does not take the answer from the others.
        return await asyncio.shield(self._asking)

    async def _ask(self, get_token: GetToken) -> str | None:
        self.asked += 1
        self.held = await asyncio.wait_for(get_token(), _ASK_SECONDS_MAX)
        return self.held


def _has_expired(token: str) -> bool:
    """By its own word (RFC 7519 `exp`); what is no JWT is left to the server."""
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return bool(time.time() + _LEEWAY_SECONDS >= claims["exp"])
    except (IndexError, KeyError, TypeError, ValueError):
        return False
