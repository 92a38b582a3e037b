"""The Python client at the near end of a pipe: does what tests/clients/driver.ts tells it, and says what it saw."""

import asyncio
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3] / "clients" / "python"))

from lightwire import Client, Refused  # noqa: E402


class Stored:
    """Where an earlier life stood."""

    def __init__(self, cursor):
        self.cursor = cursor

    def load(self):
        return self.cursor

    def save(self, cursor):
        self.cursor = cursor


def say(**words):
    sys.stdout.write(json.dumps(words) + "\n")
    sys.stdout.flush()


class Driver:
    def __init__(self):
        self.client = None
        self.given = ""

    async def connect(self, *, url, token, transport=None, framing="json", clientType="gui", clientName=None, cursor=None):
        self.given = token

        async def get_token():
            return self.given

        self.client = Client(
            url,
            get_token,
            client_type=clientType,
            client_name=clientName,
            transport=transport,
            framing=framing,
            storage=Stored(cursor) if cursor is not None else None,
        )
        self.client.on_event(lambda event: say(event=event))
        self.client.on_status(lambda status, code: say(status=status, **({} if code is None else {"code": code})))
        self.client.on_state_lost(lambda channels: say(lost=channels))
        self.client.on_error(lambda error: print(repr(error), file=sys.stderr, flush=True))
        await self.client.connect()

    async def token(self, *, token):
        self.given = token

    async def subscribe(self, *, channels, where=None, batchMs=None, conflate=False):
        return await self.client.subscribe(channels, where=where, batch_ms=batchMs, conflate=conflate)

    async def unsubscribe(self, *, channels):
        return await self.client.unsubscribe(channels)

    async def follow(self, *, path, channels):
        read = self.client.rest.read
        await self.client.snapshot_then_follow(lambda: read(path), channels, lambda state: say(snapshot=state))

    async def publish(self, *, event, key=None):
        return (await self.client.publish(event, key=key)).seq

    async def state(self):
        client = self.client
        return {
            "cursor": client.cursor,
            "status": client.status,
            "tokensAsked": client.tokens_asked,
            "transport": client.transport,
        }

    async def close(self):
        await self.client.close()

    async def obey(self, command):
        n, do = command.pop("n"), command.pop("do")
        try:
            say(re=n, ok=await getattr(self, do)(**command))
        except Refused as refused:
            say(re=n, refused={"code": refused.code, "message": refused.message})
        except Exception as error:
            say(re=n, refused={"code": "internal", "message": repr(error)})


async def main():
    reader = asyncio.StreamReader(limit=2**24)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    driver, busy = Driver(), set()
    while line := await reader.readline():
        command = json.loads(line)
        leaving = command["do"] == "close"
        # In the order told: each begins before the next is read.
        task = asyncio.create_task(driver.obey(command))
        busy.add(task)
        task.add_done_callback(busy.discard)
        if leaving:
            await task
            return
        await asyncio.sleep(0)


asyncio.run(main())
