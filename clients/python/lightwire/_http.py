"""HTTP by the standard library: one request, one answer, each in a thread of its own that nobody has to wait for.

urllib knows the system's proxies and certificates. A thread that hangs in a read cannot be cancelled, so it is
abandoned: it is a daemon, and its socket's timeout ends it.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ._errors import Refused

ANSWER_BYTES_MAX = 64 * 1024 * 1024
PROBLEM_BYTES_MAX = 1024 * 1024
_PIECE_BYTES = 65_536


class Unanswered(Exception):
    """No whole answer came: refused, cut off, or too late. Whether the request was acted on is not known.

    ``partial`` is what came of its body.
    """

    def __init__(self, message: str, partial: bytes = b"") -> None:
        super().__init__(message)
        self.partial = partial


@dataclass(frozen=True)
class Answer:
    """A good answer (2xx): ``body`` is what its JSON says, ``cursor`` the journal's position that it shows."""

    status: int
    body: Any
    cursor: str | None
    headers: Mapping[str, str]


async def request(
    method: str,
    url: str,
    *,
    token: str | None = None,
    body: object = None,
    headers: Mapping[str, str] | None = None,
    timeout: float = 15.0,
    silence: float | None = None,
    tls: ssl.SSLContext | None = None,
) -> Answer:
    """One request with a JSON body. ``timeout`` in seconds, for all of it; ``silence`` while nothing comes.

    Raises Refused for an answer that is not 2xx (``code`` is the problem's, or ``http_STATUS`` where a stranger
    answered), and Unanswered where there was none.
    """
    data = None if body is None else json.dumps(body).encode()
    asked = urllib.request.Request(url, data=data, method=method, headers=dict(headers or {}))
    if data is not None:
        asked.add_header("Content-Type", "application/json")
    if token is not None:
        # Not sent on to wherever a redirect points.
        asked.add_unredirected_header("Authorization", f"Bearer {token}")
    loop = asyncio.get_running_loop()
    answered: asyncio.Future[Answer] = loop.create_future()

    def tell(answer: Answer | None, error: Exception | None) -> None:
        if answered.done():
            return
        if answer is not None:
            answered.set_result(answer)
        elif error is not None:
            answered.set_exception(error)

    def work() -> None:
        answer: Answer | None = None
        error: Exception | None = None
        try:
            answer = _send(asked, silence or timeout, tls)
        except Exception as caught:
            error = caught
        try:
            loop.call_soon_threadsafe(tell, answer, error)
        except RuntimeError:
            pass  # The loop is closed: nobody waits any more.

    threading.Thread(target=work, name="lightwire-http", daemon=True).start()
    try:
        return await asyncio.wait_for(answered, timeout)
    except asyncio.TimeoutError:
        raise Unanswered(f"{method} was not answered within {timeout:g} s") from None


def _send(asked: urllib.request.Request, silence: float, tls: ssl.SSLContext | None) -> Answer:
    try:
        with urllib.request.urlopen(asked, timeout=silence, context=tls) as response:
            text = _read(response)
            headers = {name.lower(): value for name, value in response.headers.items()}
            body = json.loads(text) if text else None
            return Answer(response.status, body, headers.get("lightwire-cursor"), headers)
    except urllib.error.HTTPError as error:
        raise refusal_of(error.code, _body(error), dict(error.headers.items())) from None
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise Unanswered(str(error) or repr(error)) from error


def _read(response: http.client.HTTPResponse) -> bytes:
    """The body, piece by piece, so that what came before a cut is not lost."""
    text = bytearray()
    try:
        while piece := response.read1(_PIECE_BYTES):
            text += piece
            if len(text) > ANSWER_BYTES_MAX:
                raise Unanswered(f"the answer has more than {ANSWER_BYTES_MAX} bytes")
    except (OSError, http.client.HTTPException) as error:
        raise Unanswered(f"the answer was cut off: {error!r}", bytes(text)) from error
    # A read with a bound does not say that the line was cut.
    if len(text) < int(response.headers.get("Content-Length", 0)):
        raise Unanswered("the answer was cut off", bytes(text))
    return bytes(text)


def refusal_of(status: int, text: bytes, headers: Mapping[str, str]) -> Refused:
    """The RFC 9457 problem of an answer, or `http_STATUS` where it is none of ours."""
    given = {name.lower(): value for name, value in headers.items()}
    after = _seconds(given.get("retry-after")) or _exhausted(given.get("ratelimit"))
    try:
        problem = json.loads(text)
    except ValueError:
        problem = None
    if not isinstance(problem, dict) or not isinstance(problem.get("code"), str):
        return Refused(f"http_{status}", "an answer that is none of the server's", retry_after=after)
    sentence = str(problem.get("detail") or problem.get("title") or "")
    return Refused(problem["code"], sentence, retry_after=after, problem=problem)


def _body(error: urllib.error.HTTPError) -> bytes:
    try:
        return error.read(PROBLEM_BYTES_MAX)
    except Exception:
        return b""


def _seconds(text: str | None) -> float | None:
    return float(text) if text is not None and text.strip().isdigit() else None


def _exhausted(rate_limit: str | None) -> float | None:
    """Seconds to wait by `RateLimit: "requests";r=0;t=12` where nothing remains."""
    fields = dict(part.strip().split("=", 1) for part in (rate_limit or "").split(";") if "=" in part)
    return _seconds(fields.get("t")) if fields.get("r") == "0" else None
