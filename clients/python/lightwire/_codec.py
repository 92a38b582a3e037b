"""Framings: how a message becomes a frame and back (PROTOCOL §1). msgpack is imported only where it is asked for."""

from __future__ import annotations

import importlib
import json
import zlib
from collections.abc import Callable
from typing import Any, Literal, cast

from ._errors import Refused

Framing = Literal["json", "msgpack", "deflate"]
Message = dict[str, Any]

# Far above what a server sends in one frame; a frame that grows beyond it by inflating ends the connection.
FRAME_BYTES_MAX = 8 * 1024 * 1024
_DEFLATE_MIN_BYTES = 128
# What a server takes in one frame, inflated too (PROTOCOL §2, `too_large`): one byte more ends the connection for good.
_SENT_BYTES_MAX = 65_536
# The widest that a connection counts its messages by, and the first byte of a deflate frame.
_ID_MAX = 2**53 - 1
_MARK_BYTES = 1


class Codec:
    """Encodes and decodes the frames of one framing.

    Raises ImportError when a binary framing is asked for and msgpack is not installed.
    """

    def __init__(self, framing: Framing) -> None:
        self.framing = framing
        self.subprotocol = f"lightwire.v1.{framing}"
        if framing != "json":
            self._pack, self._unpack = _msgpack()

    def sendable(self, message: Message) -> Message:
        """A copy that any connection can send, whatever becomes of the original.

        Raises TypeError or ValueError for what is no JSON, Refused `too_large` for more than a server takes.
        """
        text = _json({**message, "id": _ID_MAX})
        # Encoded here, so that a lone surrogate is the caller's to see.
        sent = text.encode()
        copy = cast(Message, json.loads(sent))
        size = len(sent) if self.framing == "json" else len(self._pack(copy)) + _MARK_BYTES
        if size > _SENT_BYTES_MAX:
            raise Refused("too_large", f"the message has more than {_SENT_BYTES_MAX} bytes")
        del copy["id"]
        return copy

    def encode(self, message: Message) -> str | bytes:
        """The message as a frame: text for JSON, bytes for the binary framings."""
        if self.framing == "json":
            return _json(message)
        packed = self._pack(message)
        if self.framing == "msgpack":
            return packed
        if len(packed) >= _DEFLATE_MIN_BYTES:
            stream = zlib.compressobj(wbits=-zlib.MAX_WBITS)
            deflated = stream.compress(packed) + stream.flush()
            if len(deflated) < len(packed):
                return b"\x01" + deflated
        return b"\x00" + packed

    def decode(self, frame: str | bytes) -> Message:
        """The message of a frame. Raises ValueError when it is none."""
        value = self._value(frame)
        if not isinstance(value, dict) or not isinstance(value.get("type"), str):
            raise ValueError("a message is a map with a type")
        return value

    def _value(self, frame: str | bytes) -> object:
        if isinstance(frame, str):
            return cast(object, json.loads(frame))
        if self.framing == "json":
            raise ValueError("a binary frame in the JSON framing")
        if self.framing == "deflate":
            frame = _inflate(frame)
        return self._unpack(frame)


def _json(message: Message) -> str:
    return json.dumps(message, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _inflate(frame: bytes) -> bytes:
    if frame[:1] == b"\x00":
        return frame[1:]
    if frame[:1] != b"\x01":
        raise ValueError("a deflate frame begins with byte 0 or 1")
    stream = zlib.decompressobj(wbits=-zlib.MAX_WBITS)
    try:
        packed = stream.decompress(frame[1:], FRAME_BYTES_MAX)
    except zlib.error as error:
        raise ValueError("the frame is not raw DEFLATE") from error
    if not stream.eof or stream.unused_data:
        raise ValueError("the DEFLATE stream is cut short, too large, or something follows it")
    return packed


def _msgpack() -> tuple[Callable[[Message], bytes], Callable[[bytes], object]]:
    try:
        # By name, for it brings no types.
        msgpack: Any = importlib.import_module("msgpack")
    except ImportError as error:
        raise ImportError("the framings msgpack and deflate need the package msgpack: pip install 'lightwire[msgpack]'") from error

    def pack(message: Message) -> bytes:
        return cast(bytes, msgpack.packb(message, use_bin_type=True))

    def unpack(frame: bytes) -> object:
        # Its exceptions (extra bytes, a cut stream) are ValueErrors.
        return cast(object, msgpack.unpackb(frame, raw=False))

    return pack, unpack
