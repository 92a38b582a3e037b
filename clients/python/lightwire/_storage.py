"""Where the cursor is kept between two lives of the application, and who keeps it there."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

_SAVE_SECONDS = 1.0


class CursorStorage(Protocol):
    """Keeps one text. Both are called in a thread of their own, never at the same time."""

    def load(self) -> str | None:
        """What was saved last, or None."""

    def save(self, cursor: str) -> None:
        """Keeps it."""


class FileStorage:
    """A file of its own; what is there is whole, whenever the power goes."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)

    def load(self) -> str | None:
        try:
            return self._path.read_text("utf-8") or None
        except FileNotFoundError:
            return None

    def save(self, cursor: str) -> None:
        beside = self._path.with_name(self._path.name + ".new")
        with open(beside, "w", encoding="utf-8") as file:
            file.write(cursor)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, self._path)


class CursorKeeper:
    """Saves a cursor that moved, once a second at most. What a storage raises goes to ``fault``."""

    def __init__(
        self, storage: CursorStorage | None, cursor: Callable[[], str | None], fault: Callable[[Exception], None]
    ) -> None:
        self._storage = storage
        self._cursor = cursor
        self._fault = fault
        self._saved: str | None = None
        self._saving: asyncio.Future[None] | None = None

    async def load(self) -> str | None:
        """What an earlier life saved."""
        if self._storage is None:
            return None
        try:
            self._saved = await asyncio.to_thread(self._storage.load)
        except Exception as error:
            self._fault(error)
        return self._saved

    async def run(self) -> None:
        """Saves, now and then, for ever."""
        while True:
            await asyncio.sleep(_SAVE_SECONDS)
            await self.save()

    async def save(self) -> None:
        """Saves what is not saved yet."""
        if self._saving is not None:
            # A thread goes on when who waits for it is cancelled.
            await asyncio.wait({self._saving})
        cursor = self._cursor()
        if self._storage is None or cursor is None or cursor == self._saved:
            return
        try:
            self._saving = asyncio.ensure_future(asyncio.to_thread(self._storage.save, cursor))
            await asyncio.shield(self._saving)
            self._saved = cursor
        except Exception as error:
            self._fault(error)
