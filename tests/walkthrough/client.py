"""A client that shares no code with the server: Debian's websockets, and msgpack for the binary framing.

Usage: client.py URL json|msgpack CHANNEL...  with the token in LIGHTWIRE_TOKEN. Every message it gets is one line of
JSON on stdout, as Python understood it: an int stays 3, a float is 3.0. For each line on stdin it sends a ping; at
the end of stdin it leaves.
"""

import asyncio
import json
import os
import sys

import msgpack
import websockets


def encode(framing, message):
    return json.dumps(message) if framing == "json" else msgpack.packb(message)


def decode(framing, frame):
    # A text frame comes as str, a binary one as bytes: the wrong kind for the framing is an error here.
    if framing == "json":
        assert isinstance(frame, str), "expected a text frame"
        return json.loads(frame)
    assert isinstance(frame, bytes), "expected a binary frame"
    return msgpack.unpackb(frame, raw=False)


async def listen(socket, framing):
    async for frame in socket:
        print(json.dumps(decode(framing, frame)), flush=True)


async def obey_stdin(socket, framing):
    loop = asyncio.get_running_loop()
    while await loop.run_in_executor(None, sys.stdin.readline):
        await socket.send(encode(framing, {"type": "ping"}))


async def main(url, framing, *channels):
    # As a subprotocol, since the keyword for headers changed its name between versions of websockets.
    offered = [f"lightwire.v1.{framing}", f"bearer.{os.environ['LIGHTWIRE_TOKEN']}"]
    async with websockets.connect(url, subprotocols=offered) as socket:
        assert socket.subprotocol == offered[0], f"the server chose {socket.subprotocol}"
        await socket.send(encode(framing, {"type": "register", "client_type": "mobile", "client_name": "python"}))
        await socket.send(encode(framing, {"type": "subscribe", "channels": channels, "id": 1}))
        tasks = [asyncio.create_task(work(socket, framing)) for work in (listen, obey_stdin)]
        done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        for task in done:
            task.result()


asyncio.run(main(*sys.argv[1:]))
