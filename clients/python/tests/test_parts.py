"""The parts that need no server: framings, delays, closes, tokens, storage, the queue to the GUI."""

import asyncio
import base64
import datetime
import json
import tempfile
import threading
import time
import unittest
import zlib
from pathlib import Path

from lightwire import Client, FileStorage, Refused
from lightwire._backoff import BASE_SECONDS, CAP_SECONDS, Backoff
from lightwire._codec import Codec
from lightwire._errors import ended_by_close, ended_by_disconnect, ended_by_refusal
from lightwire._http import refusal_of
from lightwire._outbox import Outbox
from lightwire._polling import whole_messages
from lightwire._tokens import TokenSource
from lightwire._websocket import socket_url


class Framings(unittest.TestCase):
    def test_each_framing_carries_the_same_values(self):
        message = {"type": "x", "text": "grüß · 写真", "n": 2**53, "f": 0.5, "none": None, "list": [1, {"a": True}] * 30}
        for framing in ("json", "msgpack", "deflate"):
            codec = Codec(framing)
            self.assertEqual(codec.decode(codec.encode(message)), message, framing)

    def test_what_is_no_message_is_a_value_error(self):
        packed = Codec("msgpack").encode({"type": "x"})
        deflate = zlib.compressobj(wbits=-15)
        bomb = deflate.compress(Codec("msgpack").encode({"type": "a" * 2**24})) + deflate.flush()
        frames = {
            "json": ["[1]", '{"type":1}', "{", packed],
            "msgpack": [packed + b"\x00", packed[:-1], b""],
            "deflate": [b"", b"\x02x", b"\x01\xff\xff", b"\x01" + bomb],
        }
        for framing, broken in frames.items():
            for frame in broken:
                with self.assertRaises(ValueError, msg=f"{framing} {frame[:20]!r}"):
                    Codec(framing).decode(frame)


class Sendable(unittest.TestCase):
    def test_what_cannot_be_sent_is_refused_before_it_waits_in_each_framing(self):
        broken = [datetime.datetime(2026, 1, 1), float("nan"), "/photos/\udce9.raw", b"raw", {1, 2}]
        for framing in ("json", "msgpack", "deflate"):
            outbox = Outbox(10, Codec(framing))
            for value in broken:
                with self.assertRaises((TypeError, ValueError), msg=f"{framing} {value!r}"):
                    outbox.add({"type": "system_status", "status": value}, None, False)
            with self.assertRaises(Refused) as refused:
                outbox.add({"type": "system_status", "status": "é" * 33_000}, None, False)

            self.assertEqual((refused.exception.code, len(outbox)), ("too_large", 0), framing)

    def test_what_a_server_takes_in_one_frame_is_sendable_whatever_its_number_and_a_byte_more_is_not(self):
        for framing in ("json", "msgpack", "deflate"):
            codec = Codec(framing)
            longest = 0
            for length in range(65_400, 65_536):
                try:
                    longest = len(codec.sendable({"type": "x", "text": "a" * length})["text"])
                except Refused:
                    break
            plain = Codec("msgpack" if framing == "deflate" else framing)
            frame = plain.encode({"type": "x", "text": "a" * longest, "id": 2**53 - 1})

            self.assertIn(len(frame), (65_535, 65_536), framing)

    def test_it_is_a_copy_that_later_changes_do_not_reach(self):
        event = {"details": {"n": (1, 2)}}
        copy = Codec("json").sendable({"type": "publish", "event": event})
        event["details"]["n"] = float("nan")

        self.assertEqual(copy, {"type": "publish", "event": {"details": {"n": [1, 2]}}})


class Delays(unittest.TestCase):
    def test_they_double_to_the_cap_with_full_jitter(self):
        longest, shortest = Backoff(lambda: 1.0), Backoff(lambda: 0.0)

        self.assertEqual([longest.delay() for _ in range(8)], [0.5, 1, 2, 4, 8, 16, 30, 30])
        self.assertEqual([shortest.delay() for _ in range(3)], [0, 0, 0])

    def test_what_the_server_asked_for_is_kept_exactly_or_at_least(self):
        backoff = Backoff(lambda: 1.0)

        self.assertEqual(backoff.delay(7.25, exact=True), 7.25)
        self.assertEqual(backoff.delay(60), 60 + BASE_SECONDS)

    def test_after_a_good_connection_they_are_short_again(self):
        backoff = Backoff(lambda: 1.0)
        for _ in range(20):
            backoff.delay()
        self.assertEqual(backoff.delay(), CAP_SECONDS)
        backoff.reset()

        self.assertEqual(backoff.delay(), BASE_SECONDS)


class Ends(unittest.TestCase):
    def test_the_rule_for_close_codes(self):
        back = [1000, 1001, 1005, 1006, 1011, 1012, 1013, 4000, 4400, 4401, 4408, 4429, 4499]
        away = [1002, 1003, 1007, 1008, 1009, 1010, 4500, 4501, 4503, 4999]

        self.assertEqual([code for code in back + away if ended_by_close(code, "").final], away)

    def test_a_disconnect_goes_before_the_rule(self):
        ended = ended_by_disconnect({"code": 4503, "reason": "", "reconnect": True, "retry_after_ms": 1500})

        self.assertEqual((ended.final, ended.retry_after, ended.exact), (False, 1.5, True))

    def test_over_http_retry_after_and_an_exhausted_rate_limit_are_times_to_wait(self):
        problem = json.dumps({"code": "rate_limited", "detail": "slowly"}).encode()
        by_header = refusal_of(429, problem, {"Retry-After": "12"})
        by_limit = refusal_of(503, b"", {"ratelimit": '"requests";r=0;t=9'})
        plenty = refusal_of(503, b"<html>", {"ratelimit": '"requests";r=5;t=9'})

        self.assertEqual([refused.retry_after for refused in (by_header, by_limit, plenty)], [12, 9, None])
        self.assertEqual([by_header.code, by_limit.code], ["rate_limited", "http_503"])

    def test_a_bad_token_ends_it_an_expired_one_is_replaced(self):
        bad, expired = (ended_by_refusal(Refused(code, "")) for code in ("invalid_token", "unauthenticated"))

        self.assertEqual([(end.final, end.wants_token) for end in (bad, expired)], [(True, False), (False, True)])


def jwt(seconds):
    claims = base64.urlsafe_b64encode(json.dumps({"exp": time.time() + seconds}).encode()).rstrip(b"=").decode()
    return f"e30.{claims}.sig"


class CutAnswers(unittest.TestCase):
    def test_of_a_cut_poll_the_whole_messages_count(self):
        messages = [{"type": "x", "text": 'a"}],{"', "n": n} for n in range(3)]
        whole = json.dumps({"success": True, "messages": messages}, separators=(",", ":")).encode()
        found = [whole_messages(whole[:length]) for length in range(len(whole) + 1)]

        self.assertEqual(found[-1], messages)
        self.assertEqual([some for some in found if some != messages[: len(some)]], [])
        self.assertEqual([len(some) for some in found], sorted(len(some) for some in found))
        self.assertEqual(whole_messages(b"<html>"), [])


class Tokens(unittest.IsolatedAsyncioTestCase):
    async def test_however_many_need_one_it_is_asked_for_once(self):
        answer = asyncio.Event()

        async def get_token():
            await answer.wait()
            return jwt(3600)

        source = TokenSource(get_token)
        asking = [asyncio.create_task(source.current()) for _ in range(10)]
        await asyncio.sleep(0)
        asking[0].cancel()
        answer.set()
        tokens = await asyncio.gather(*asking[1:])

        self.assertEqual((source.asked, len(set(tokens))), (1, 1))
        self.assertEqual((await source.current(), source.asked), (tokens[0], 1))

    async def test_a_token_that_has_ended_or_was_refused_is_asked_for_anew(self):
        given = [jwt(1), "opaque", jwt(3600)]

        async def get_token():
            return given.pop(0)

        source = TokenSource(get_token)
        first, second = await source.current(), await source.current()
        source.spend()
        third = await source.current()

        self.assertEqual((second, third, source.asked), ("opaque", await source.current(), 3))
        self.assertNotEqual(first, second)

    async def test_a_failure_is_everybodys_and_the_next_asks_again(self):
        async def get_token():
            raise RuntimeError("no network")

        source = TokenSource(get_token)
        outcomes = await asyncio.gather(source.current(), source.current(), return_exceptions=True)
        with self.assertRaises(RuntimeError):
            await source.current()

        self.assertEqual([type(outcome) for outcome in outcomes], [RuntimeError, RuntimeError])
        self.assertEqual(source.asked, 2)


class Bounds(unittest.IsolatedAsyncioTestCase):
    async def test_an_outbox_over_its_bound_refuses_at_once_and_a_closed_one_tells_who_waits(self):
        outbox = Outbox(2, Codec("json"))
        waiting = [outbox.add({"type": "x"}, None, False) for _ in range(2)]
        with self.assertRaises(Refused) as refused:
            outbox.add({"type": "x"}, None, False)
        outbox.close()
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)

        self.assertEqual(refused.exception.code, "queue_full")
        self.assertEqual([outcome.code for outcome in outcomes], ["closed", "closed"])

    async def test_a_closed_client_refuses_everything_and_closing_twice_is_nothing(self):
        client = Client("http://127.0.0.1:9")
        client.start()
        publishing = asyncio.create_task(client.publish({"type": "x"}))
        subscribing = asyncio.create_task(client.subscribe(["jobs"]))
        await asyncio.sleep(0.05)
        await client.close()
        await client.close()
        late = await asyncio.gather(
            publishing, subscribing, client.subscribe(["jobs"]), client.request({"type": "x"}), return_exceptions=True
        )

        self.assertEqual([error.code for error in late], ["closed"] * 4)
        self.assertEqual(client.status, "closed")


class Kept(unittest.TestCase):
    def test_a_file_keeps_the_newest_cursor(self):
        with tempfile.TemporaryDirectory() as folder:
            storage = FileStorage(Path(folder) / "cursor")
            before = storage.load()
            storage.save("e1:jobs=1")
            storage.save("e1:jobs=2")

            self.assertEqual((before, storage.load()), (None, "e1:jobs=2"))
            self.assertEqual([path.name for path in Path(folder).iterdir()], ["cursor"])

    def test_where_the_socket_is(self):
        self.assertEqual(socket_url("http://127.0.0.1:5100"), "ws://127.0.0.1:5100/ws")
        self.assertEqual(socket_url("https://studio.local/lw/"), "wss://studio.local/lw/ws")


class Box(unittest.TestCase):
    def setUp(self):
        try:
            from lightwire.qt import _Box
        except ImportError:
            self.skipTest("PyQt6 is not installed")
        self.box = _Box(2)

    def test_it_wakes_its_taker_once_and_waits_while_it_is_full(self):
        item = (print, ())
        woken = [self.box.put(item), self.box.put(item)]
        waiting = threading.Thread(target=self.box.put, args=(item,))
        waiting.start()
        waiting.join(0.05)
        stuck = waiting.is_alive()
        self.box.get()
        waiting.join(5)
        rest = [self.box.get() is not None for _ in range(3)]

        self.assertEqual((woken, stuck, waiting.is_alive(), rest), ([True, False], True, False, [True, True, False]))
        self.assertTrue(self.box.put(item))

    def test_closing_frees_whoever_waits(self):
        for _ in range(2):
            self.box.put((print, ()))
        waiting = threading.Thread(target=self.box.put, args=((print, ()),))
        waiting.start()
        self.box.close()
        waiting.join(5)

        self.assertEqual((waiting.is_alive(), self.box.get()), (False, None))


if __name__ == "__main__":
    unittest.main()
