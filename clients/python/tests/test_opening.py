"""Which way is taken to the server, by what came of the ways before."""

import asyncio
import unittest
from unittest import mock

from lightwire import Client


class Silent:
    """A WebSocket that is let through, and brings nothing."""

    name = "websocket"
    needs_ping = True

    async def receive(self):
        await asyncio.Event().wait()

    async def close(self):
        pass

    def abort(self):
        pass


class Ways(unittest.IsolatedAsyncioTestCase):
    async def test_where_sockets_open_and_bring_no_greeting_polling_is_tried(self):
        ways, tried = [], asyncio.Event()

        async def opened(way, token):
            ways.append(way)
            if len(ways) == 3:
                tried.set()
                await asyncio.Event().wait()
            return Silent()

        client = Client("http://127.0.0.1:9")
        with (
            mock.patch.object(client._connection._opening, "_open", opened),
            mock.patch("lightwire._connection._GREETING_SECONDS", 0.01),
            mock.patch("lightwire._backoff.BASE_SECONDS", 0.01),
        ):
            client.start()
            await tried.wait()
            await client.close()

        self.assertEqual(ways, ["websocket", "websocket", "poll"])

    async def test_closing_in_the_moment_in_which_a_connection_comes_about_ends_it(self):
        opening = asyncio.Event()

        async def opened(way, token):
            opening.set()
            return Silent()

        client = Client("http://127.0.0.1:9")
        with (
            mock.patch.object(client._connection._opening, "_open", opened),
            mock.patch("lightwire.client._LEAVING_SECONDS", 0.01),
        ):
            client.start()
            await opening.wait()
            await asyncio.wait_for(client.close(), 10)

        self.assertEqual(client.status, "closed")


if __name__ == "__main__":
    unittest.main()
