"""The subscriptions of an application over all its connections: asked for, repaired, and delivered in order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from ._codec import Message
from ._errors import Refused
from ._following import Ask, Event, Following, Gap, Options
from ._link import Link
from ._outbox import refusal_in

_NOT_NOW = frozenset({"rate_limited", "storage_unavailable", "draining", "unauthenticated"})
_NOT_NOW_SECONDS = 1.0


@dataclass
class _Waiter:
    """Somebody who waits until all of ``missing`` is confirmed, told everything that is subscribed then.

    With each channel the version that is waited for: what is said to an earlier one is said to somebody else.
    """

    missing: dict[str, int]
    done: asyncio.Future[list[str]]


class Stream:
    """``deliver`` gets each event once; ``lost`` the channels to be read again; ``fault`` what nobody waits for."""

    def __init__(
        self,
        deliver: Callable[[Event], None],
        lost: Callable[[list[str]], None],
        fault: Callable[[Exception], None],
    ) -> None:
        self.following = Following()
        self._deliver = deliver
        self._lost = lost
        self._fault = fault
        self._link: Link | None = None
        self._waiters: list[_Waiter] = []
        self._closed = False

    def attach(self, link: Link) -> None:
        """Goes on over a new connection: everything followed is asked for, since where it stands."""
        self._link = link
        for ask in self.following.asks():
            self._ask(link, ask, split=True)

    def detach(self) -> None:
        """The connection is gone; what was asked for is asked again over the next."""
        self._link = None
        self.following.cut()

    def close(self) -> None:
        """Everybody who waits is told `closed`, and who comes later too."""
        self._closed = True
        for waiter in self._waiters:
            if not waiter.done.done():
                waiter.done.set_exception(Refused("closed", "the client is closed"))
        self._waiters.clear()

    def subscribe(self, channels: Sequence[str], options: Options) -> asyncio.Future[list[str]]:
        """Follows channels; the future is everything subscribed when they are confirmed, now or over a later line."""
        wanted = list(dict.fromkeys(channels))
        self.following.want(wanted, options)
        return self.ask(wanted)

    def drop(self, channels: Iterable[str]) -> None:
        """Follows channels no more; who waits for them waits for the rest alone."""
        dropped = set(channels)
        self.following.drop(dropped)
        for waiter in self._waiters:
            waiter.missing = {name: version for name, version in waiter.missing.items() if name not in dropped}
        self._settle(sorted(self.following.places))

    def ask(self, channels: Iterable[str]) -> asyncio.Future[list[str]]:
        """Asks for channels as they are wanted."""
        wanted = {name: self.following.places[name].version for name in channels}
        waiter = _Waiter(wanted, asyncio.get_running_loop().create_future())
        if self._closed:
            waiter.done.set_exception(Refused("closed", "the client is closed"))
            return waiter.done
        self._waiters.append(waiter)
        if self._link is not None:
            for ask in self.following.asks(wanted):
                self._ask(self._link, ask)
        # Nobody answers for no channels.
        self._settle(sorted(self.following.places))
        return waiter.done

    def take(self, message: Message) -> None:
        """An event or a batch: delivers what is due of it, and asks for what is missing before it."""
        try:
            for event in self.following.take(message):
                self._deliver(event)
        except Gap as gap:
            self.repair([gap.channel])

    def pong(self, message: Message) -> None:
        """What a pong says about how far the stream is."""
        self.repair(self.following.pong(message["cursor"]))

    def repair(self, channels: Iterable[str] | None = None) -> None:
        """Asks for these channels anew, or for all, since where they stand."""
        if self._link is not None:
            for ask in self.following.asks(channels):
                self._ask(self._link, ask, split=True)

    def limit(self, channels: Iterable[str]) -> None:
        """A new token grants these alone; the others have ended."""
        gone = [name for name, place in self.following.places.items() if name not in set(channels) and not place.asking]
        gone = [name for name in gone if not self.following.places[name].held]
        if gone:
            self.drop(gone)
            self._fault(Refused("forbidden", f"the new token does not grant {', '.join(gone)}"))

    def _ask(self, link: Link, ask: Ask, *, split: bool = False) -> None:
        def answered(reply: Message | None) -> None:
            if reply is None or self._link is not link:
                return
            if reply["type"] != "error":
                self._confirmed(ask, reply)
            elif reply["code"] in _NOT_NOW:
                later = reply.get("retry_after_ms", _NOT_NOW_SECONDS * 1000) / 1000
                asyncio.get_running_loop().call_later(later, self._ask_again, link, ask, split)
            elif split and len(ask.places) > 1:
                # One that is refused must not take the others along.
                for name, place in ask.places.items():
                    place.asking -= 1
                    for alone in self.following.asks([name]):
                        self._ask(link, alone)
            else:
                self._refused(ask, refusal_in(reply))

        link.ask(ask.message, answered)

    def _ask_again(self, link: Link, ask: Ask, split: bool) -> None:
        if self._link is link:
            self._ask(link, ask, split=split)

    def _confirmed(self, ask: Ask, reply: Message) -> None:
        lost = self.following.confirmed(ask, reply)
        for waiter in self._waiters:
            for name, place in ask.places.items():
                if waiter.missing.get(name, place.version + 1) <= place.version:
                    del waiter.missing[name]
        self._settle(list(reply["channels"]))
        if lost:
            self._lost(lost)

    def _settle(self, subscribed: list[str]) -> None:
        """Tells everybody who waits for nothing more."""
        for waiter in self._waiters:
            if not waiter.missing and not waiter.done.done():
                waiter.done.set_result([*subscribed])
        self._waiters = [waiter for waiter in self._waiters if not waiter.done.done()]

    def _refused(self, ask: Ask, refused: Refused) -> None:
        anew = self.following.refused(ask)
        versions = {name: place.version for name, place in ask.places.items()}
        concerned = [waiter for waiter in self._waiters if waiter.missing.items() & versions.items()]
        for waiter in concerned:
            if not waiter.done.done():
                waiter.done.set_exception(refused)
        self._waiters = [waiter for waiter in self._waiters if not waiter.done.done()]
        if not concerned:
            self._fault(refused)
        self.repair(anew)
