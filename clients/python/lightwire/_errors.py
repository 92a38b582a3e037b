"""What can go wrong for an application, and for a connection: one refusal type, and how a connection ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# PROTOCOL §2: close codes that say who is refused and why; the rest are named by their number.
_CLOSE_NAMES = {
    1009: "too_large",
    1011: "internal",
    1012: "draining",
    4400: "slow_consumer",
    4401: "unauthenticated",
    4408: "no_pong",
    4409: "cursor_gone",
    4429: "rate_limited",
    4430: "too_many_connections",
    4500: "invalid_message",
    4501: "invalid_token",
    4502: "auth_timeout",
    4503: "disconnected",
    4507: "unsupported_protocol",
}
_FINAL_CLOSES = frozenset({1002, 1003, 1007, 1008, 1009, 1010})
# Over HTTP: what no later try of the same client mends.
_FINAL_PROBLEMS = frozenset({"invalid_token", "forbidden", "origin_refused", "host_refused", "unsupported_protocol"})


class Refused(Exception):
    """An expected no.

    ``code`` is the server's refusal code (PROTOCOL §2: ``forbidden``, ``conflict``, …), or one of the client's own:
    ``closed`` (the client is closed), ``timeout`` (no answer in time), ``queue_full`` (too much waits already),
    ``malformed`` (a snapshot without a cursor).
    ``retry_after`` is in seconds, where the server named a time; ``problem`` is the whole RFC 9457 problem where the
    refusal came over HTTP.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        retry_after: float | None = None,
        problem: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.retry_after = retry_after
        self.problem: Mapping[str, Any] = problem or {}


class Ended(Exception):
    """A connection is over, or did not come about; says what the client may do next.

    ``final``: stay away. ``retry_after``: seconds that the server asked for; ``exact`` when they need no jitter.
    ``blocked``: something answered, but spoke no WebSocket.
    """

    def __init__(
        self,
        code: str,
        reason: str = "",
        *,
        final: bool = False,
        retry_after: float | None = None,
        exact: bool = False,
        blocked: bool = False,
    ) -> None:
        super().__init__(f"{code}: {reason}" if reason else code)
        self.code = code
        self.reason = reason
        self.final = final
        self.retry_after = retry_after
        self.exact = exact
        self.blocked = blocked

    @property
    def wants_token(self) -> bool:
        """The token was no good any more, and another may be."""
        return self.code == "unauthenticated"


def ended_by_close(code: int, reason: str) -> Ended:
    """The rule for close codes (PROTOCOL §2, "After a close")."""
    final = code in _FINAL_CLOSES or 4500 <= code <= 4999
    return Ended(_CLOSE_NAMES.get(code, str(code)), reason, final=final)


def ended_by_disconnect(message: Mapping[str, Any]) -> Ended:
    """What the server's ``disconnect`` says; its word goes before the rule."""
    code = int(message.get("code", 1006))
    after = message.get("retry_after_ms")
    return Ended(
        _CLOSE_NAMES.get(code, str(code)),
        str(message.get("reason", "")),
        final=not message.get("reconnect", True),
        retry_after=None if after is None else after / 1000,
        exact=after is not None,
    )


def ended_by_refusal(refused: Refused) -> Ended:
    """A refusal over HTTP, read as the end of a connection."""
    return Ended(
        refused.code,
        refused.message,
        final=refused.code in _FINAL_PROBLEMS,
        retry_after=refused.retry_after,
    )
