"""Whom to tell: handlers by name, called in order; one that fails disturbs nobody else."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

logger = logging.getLogger("lightwire")

Handler = Callable[..., None]


class Handlers:
    """``failed`` gets what a handler raised; without one it is logged."""

    def __init__(self) -> None:
        self._by_name: dict[str, list[Handler]] = {}

    def add(self, name: str, handler: Handler) -> Callable[[], None]:
        """Adds a handler; what is returned takes it away again."""
        self._by_name.setdefault(name, []).append(handler)

        def remove() -> None:
            handlers = self._by_name.get(name, [])
            if handler in handlers:
                handlers.remove(handler)

        return remove

    def call(self, name: str, *words: Any) -> None:
        """Calls the handlers of this name."""
        for handler in list(self._by_name.get(name, ())):
            try:
                handler(*words)
            except Exception as error:
                self.report(error)

    def report(self, error: Exception) -> None:
        """An error that nobody waits for: to the handlers of errors, or to the log."""
        handlers = list(self._by_name.get("error", ()))
        if not handlers:
            logger.error("%s", error, exc_info=error)
        for handler in handlers:
            try:
                handler(error)
            except Exception as other:
                logger.error("a handler of errors failed", exc_info=other)
