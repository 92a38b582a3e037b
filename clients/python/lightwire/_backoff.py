"""How long to wait before the next try: full jitter that doubles to a cap, and what the server asked for goes first."""

from __future__ import annotations

import random
from collections.abc import Callable

BASE_SECONDS = 0.5
CAP_SECONDS = 30.0
_EASED_TRIES = 2


class Backoff:
    """Counts tries in a row; ``random`` gives numbers from 0 up to 1."""

    def __init__(self, chance: Callable[[], float] = random.random) -> None:
        self._chance = chance
        self._tries = 0

    def reset(self) -> None:
        """The last try was good: the next delay is a short one."""
        self._tries = 0

    def ease(self) -> None:
        """The last try was good for a moment only: the next delay is no long one, but may be longer than the first."""
        self._tries = min(self._tries, _EASED_TRIES)

    def delay(self, asked: float | None = None, *, exact: bool = False) -> float:
        """Seconds to wait now. ``asked`` by the server is never undercut; ``exact`` needs no jitter of ours."""
        if asked is not None and exact:
            return max(0.0, asked)
        ceiling: float = min(CAP_SECONDS, BASE_SECONDS * 2.0**self._tries)
        self._tries = min(self._tries + 1, 10)
        return max(0.0, asked or 0.0) + self._chance() * ceiling
