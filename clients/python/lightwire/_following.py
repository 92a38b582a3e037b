"""What is followed and how far: a place per channel, and the client's rule (PROTOCOL §5). Pure: no clock, no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from ._codec import Message

Event = dict[str, Any]
Position = tuple[str, int]


@dataclass(frozen=True)
class Options:
    """How a channel is followed (PROTOCOL §4)."""

    where: Message | None = None
    batch_ms: int | None = None
    conflate: bool = False

    def fields(self) -> Message:
        """The fields of a `subscribe` message."""
        given: Message = {"where": self.where, "batch_ms": self.batch_ms, "conflate": self.conflate or None}
        return {name: value for name, value in given.items() if value is not None}


@dataclass
class Place:
    """One channel. ``position`` is None until the server has said where it begins."""

    options: Options
    #: Counts what was wanted: a later one does for those who wait for an earlier one.
    version: int = 0
    position: Position | None = None
    #: Subscribes on the way: until they are confirmed a gap is no news.
    asking: int = 0
    #: A snapshot is being read: nothing is applied, nothing asked.
    held: bool = False
    #: Events come in batches, which say what they cover.
    batched: bool = False
    #: What was followed when this was wanted, to go back to when the server refuses.
    before: Place | None = None
    #: What the server has said to it, over this connection.
    confirmed: bool = False
    refused: bool = False

    def past(self) -> Iterator[Place]:
        """It, and what it goes back to, the newest first."""
        place: Place | None = self
        while place is not None:
            yield place
            place = place.before


@dataclass(frozen=True)
class Ask:
    """A `subscribe` message, and the places it is about."""

    message: Message
    places: dict[str, Place]


@dataclass
class Following:
    """Positions survive the connection. ``stored`` are those of an earlier life, for channels not yet followed."""

    stored: dict[str, Position] = field(default_factory=dict)
    places: dict[str, Place] = field(default_factory=dict)
    _versions: int = 0

    def want(self, channels: Iterable[str], options: Options, *, held: bool = False) -> None:
        """Follows the channels from now on; one that was followed keeps its position."""
        self._versions += 1
        for channel in channels:
            before = self.places.get(channel)
            position = before.position if before else self.stored.pop(channel, None)
            back = None if held else before
            self.places[channel] = Place(options, self._versions, position, held=held, before=back)

    def drop(self, channels: Iterable[str]) -> None:
        """Follows them no more."""
        for channel in channels:
            self.places.pop(channel, None)

    def hold(self, channels: Iterable[str]) -> None:
        """Applies nothing in these channels until they are released."""
        for channel in channels:
            if channel in self.places:
                self.places[channel].held = True

    def release(self, channels: Iterable[str], cursor: str | None) -> None:
        """Goes on from a snapshot's cursor."""
        positions = parse_cursor(cursor)
        for channel in channels:
            if channel in self.places:
                self.places[channel].held = False
                self.places[channel].position = positions.get(channel)

    def asks(self, channels: Iterable[str] | None = None) -> list[Ask]:
        """The fewest subscribes for these channels, or all: one per options and epoch. Counts them as on the way."""
        groups: list[tuple[Options, str | None, dict[str, Place]]] = []
        for channel in sorted(self.places if channels is None else channels):
            place = self.places.get(channel)
            if place is None or place.held:
                continue
            place.asking += 1
            epoch = place.position[0] if place.position else None
            for options, of, members in groups:
                if options == place.options and of == epoch:
                    members[channel] = place
                    break
            else:
                groups.append((place.options, epoch, {channel: place}))
        return [_ask(options, members) for options, _, members in groups]

    def confirmed(self, ask: Ask, reply: Message) -> list[str]:
        """Takes a `subscription_confirmed`; the channels whose position is lost."""
        begins = parse_cursor(reply["cursor"])
        lost = []
        for channel, place in ask.places.items():
            place.asking = max(0, place.asking - 1)
            status = reply["recovery"].get(channel, {}).get("status")
            current = self.places.get(channel)
            if current is None or current.held or channel not in begins:
                continue
            if current is not place:
                if status != "snapshot_required" and any(one is place for one in current.past()):
                    # Its events come from here on, whatever is said to the later one.
                    place.confirmed = True
                    current.position = current.position or begins[channel]
                continue
            place.confirmed, place.before = True, None
            place.batched = bool(place.options.fields())
            if status == "snapshot_required":
                lost.append(channel)
                place.position = begins[channel]
            elif place.position is None or begins[channel][1] > place.position[1]:
                place.position = begins[channel]
            else:
                place.position = (begins[channel][0], place.position[1])
        return lost

    def refused(self, ask: Ask) -> list[str]:
        """The subscribe had no effect: all is as it was before. The channels of that to be asked for anew."""
        anew = []
        for channel, place in ask.places.items():
            place.refused = True
            if self.places.get(channel) is not place:
                continue
            before = next((one for one in place.past() if not one.refused), None)
            if before is None:
                del self.places[channel]
                continue
            # Meanwhile it went on.
            before.position = place.position
            self.places[channel] = before
            if not before.confirmed:
                anew.append(channel)
        return anew

    def cut(self) -> None:
        """The connection is gone, and with it what was on the way."""
        for current in self.places.values():
            for place in current.past():
                place.asking, place.confirmed = 0, False

    def take(self, message: Message) -> Iterator[Event]:
        """The events of a message that are due, in order; the position moves with each. Raises Gap."""
        channel = message.get("channel", "")
        place = self.places.get(channel)
        if place is None or place.position is None or place.held:
            return
        is_batch = message["type"] == "batch"
        place.batched = is_batch
        epoch, position = place.position
        after = message["after"] if is_batch else message["seq"] - 1
        if after > position:
            if place.asking == 0:
                raise Gap(channel)
            return
        for event in message["events"] if is_batch else [message]:
            # A handler may have moved it.
            if self.places.get(channel) is not place or place.held or place.position is None:
                return
            if event["seq"] > place.position[1]:
                place.position = (epoch, event["seq"])
                yield event
        if is_batch and place.position[1] < message["upto"] and self.places.get(channel) is place:
            place.position = (epoch, message["upto"])

    def pong(self, cursor: str) -> list[str]:
        """Takes a pong's cursor: everything up to there was sent here. The channels where something is missing.

        A channel that comes event by event has been given each of them, so being behind is a gap; one that comes in
        batches may have had events filtered away.
        """
        missing = []
        for channel, (epoch, seq) in parse_cursor(cursor).items():
            place = self.places.get(channel)
            if place is None or place.position is None or place.held or place.asking > 0:
                continue
            if place.position[0] != epoch or seq <= place.position[1]:
                continue
            if place.batched:
                place.position = (epoch, seq)
            else:
                missing.append(channel)
        return missing

    def cursor(self) -> str | None:
        """Of everything followed, and of what an earlier life followed; None where nothing has a position yet."""
        known = {channel: place.position for channel, place in self.places.items() if place.position}
        return format_kept({**self.stored, **known})


class Gap(Exception):
    """Something before a message is missing in ``channel``."""

    def __init__(self, channel: str) -> None:
        super().__init__(channel)
        self.channel = channel


def _ask(options: Options, places: dict[str, Place]) -> Ask:
    message: Message = {"type": "subscribe", "channels": list(places), **options.fields()}
    known = {channel: place.position for channel, place in places.items() if place.position}
    if known:
        epoch = next(iter(known.values()))[0]
        message["since"] = format_cursor(epoch, {channel: seq for channel, (_, seq) in known.items()})
    return Ask(message, places)


def parse_cursor(text: str | None) -> dict[str, Position]:
    """Positions by channel of `epoch:channel=seq,…`. Raises ValueError for another text."""
    if not text:
        return {}
    epoch, colon, rest = text.partition(":")
    if not colon or not epoch:
        raise ValueError("not a cursor")
    parts = (part.partition("=") for part in rest.split(",") if part)
    return {channel: (epoch, int(seq)) for channel, _, seq in parts}


def format_cursor(epoch: str, positions: dict[str, int]) -> str:
    """`epoch:channel=seq,…`, the channels in alphabetic order."""
    return f"{epoch}:{','.join(f'{channel}={positions[channel]}' for channel in sorted(positions))}"


def parse_kept(text: str | None) -> dict[str, Position]:
    """Positions by channel of what `format_kept` wrote. Raises ValueError for another text."""
    return {channel: position for cursor in (text or "").split() for channel, position in parse_cursor(cursor).items()}


def format_kept(positions: dict[str, Position]) -> str | None:
    """A cursor per journal, mostly one, with a space between: one alone cannot say where all of them are."""
    by_epoch: dict[str, dict[str, int]] = {}
    for channel, (epoch, seq) in positions.items():
        by_epoch.setdefault(epoch, {})[channel] = seq
    return " ".join(format_cursor(epoch, by_epoch[epoch]) for epoch in sorted(by_epoch)) or None
