"""The exact join, against a line that says what a test wants."""

import asyncio
import unittest

from lightwire import Refused, Snapshot, Unanswered
from lightwire._following import Options
from lightwire._snapshot import Follow
from lightwire._stream import Stream


class Line:
    """Keeps what is asked, to be answered by hand."""

    def __init__(self):
        self.asked = []

    def ask(self, message, answered):
        self.asked.append((message, answered))

    def confirm(self, cursor, status="recovered"):
        message, answered = self.asked.pop(0)
        recovery = {channel: {"status": status} for channel in message["channels"]}
        answered({"type": "subscription_confirmed", "channels": [], "cursor": cursor, "recovery": recovery})


def event(seq):
    return {"type": "session_deleted", "channel": "sessions", "seq": seq}


class Join(unittest.IsolatedAsyncioTestCase):
    def setUp(self):
        self.seen = []
        self.faults = []
        self.reads = []
        self.follow = None
        self.stream = Stream(
            lambda taken: self.seen.append(taken["seq"]), lambda lost: self.follow.reread(), self.faults.append
        )
        self.line = Line()
        self.stream.attach(self.line)

    async def begin(self, *reads):
        self.reads = list(reads)

        async def fetch():
            await asyncio.sleep(0)
            result = self.reads.pop(0)
            if isinstance(result, Exception):
                raise result
            return Snapshot(f"state {result}", f"e1:sessions={result}")

        self.follow = Follow(self.stream, fetch, ["sessions"], Options(), self.seen.append, self.faults.append)
        beginning = asyncio.create_task(self.follow.begin())
        await self.asked()
        return beginning

    async def asked(self):
        for _ in range(20):
            await asyncio.sleep(0)

    async def test_first_the_state_then_each_event_after_it(self):
        beginning = await self.begin(5)
        self.line.confirm("e1:sessions=5")
        await beginning
        for seq in (4, 5, 6):
            self.stream.take(event(seq))

        self.assertEqual(self.seen, ["state 5", 6])

    async def test_what_is_lost_already_when_it_is_confirmed_is_read_again_and_nobody_is_disturbed(self):
        beginning = await self.begin(5, 2)
        self.line.confirm("e2:sessions=1", "snapshot_required")
        self.stream.take(event(2))
        await self.asked()
        self.line.confirm("e1:sessions=2")
        await beginning
        self.stream.take(event(3))

        self.assertEqual(self.seen, ["state 5", "state 2", 3])
        self.assertEqual(self.faults, [])

    async def test_no_answer_is_asked_for_again_a_refusal_is_told(self):
        beginning = await self.begin(Unanswered("cut"), Refused("forbidden", "no"))
        with self.assertRaises(Refused):
            await beginning

        self.assertEqual(self.stream.following.places, {})

    async def test_a_state_whose_cursor_does_not_say_where_to_go_on_is_refused(self):
        for cursor in (None, "", "sessions=5", "e1:photos=5"):

            async def fetch(cursor=cursor):
                return Snapshot("state", cursor)

            follow = Follow(self.stream, fetch, ["sessions"], Options(), self.seen.append, self.faults.append)
            with self.assertRaises(Refused) as refused:
                await asyncio.wait_for(follow.begin(), 1)

            self.assertEqual((refused.exception.code, self.seen), ("malformed", []), cursor)
            self.assertEqual((self.stream.following.places, self.line.asked), ({}, []), cursor)

    async def test_whoever_waits_for_it_is_told_when_it_is_ended_meanwhile(self):
        beginning = await self.begin(5)
        self.follow.stop()
        with self.assertRaises(Refused) as refused:
            await beginning

        self.assertEqual(refused.exception.code, "closed")

    async def test_whoever_is_cancelled_while_it_begins_is_cancelled(self):
        beginning = await self.begin(5)
        beginning.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await beginning

    async def test_lost_later_and_refused_then_it_goes_to_whoever_hears_of_faults(self):
        beginning = await self.begin(5, Refused("forbidden", "not any more"))
        self.line.confirm("e1:sessions=5")
        await beginning
        self.stream.repair(["sessions"])
        self.line.confirm("e2:sessions=1", "snapshot_required")
        await self.asked()

        self.assertEqual([fault.code for fault in self.faults], ["forbidden"])


class Waits(unittest.IsolatedAsyncioTestCase):
    def setUp(self):
        self.stream = Stream(lambda taken: None, lambda lost: None, lambda fault: None)
        self.line = Line()

    async def test_whoever_waits_for_what_is_dropped_waits_for_the_rest_alone(self):
        alone = self.stream.subscribe(["jobs"], Options())
        both = self.stream.subscribe(["jobs", "sessions"], Options())
        self.stream.drop(["jobs"])
        early = (alone.done(), both.done())
        self.stream.attach(self.line)
        self.line.confirm("e1:sessions=5", "live")

        self.assertEqual((early, both.done(), self.stream._waiters), ((True, False), True, []))
        self.assertEqual(alone.result(), ["sessions"])

    async def test_a_refused_snapshot_leaves_nobody_waiting_for_its_channels(self):
        async def fetch():
            raise Refused("forbidden", "no")

        subscribed = self.stream.subscribe(["jobs"], Options())
        with self.assertRaises(Refused):
            await Follow(self.stream, fetch, ["jobs"], Options(), print, print).begin()

        self.assertEqual((subscribed.done(), self.stream._waiters), (True, []))

    async def test_no_channels_are_followed_at_once_and_one_that_is_named_twice_once(self):
        none = self.stream.subscribe([], Options()).done()
        self.stream.attach(self.line)
        twice = self.stream.subscribe(["jobs", "jobs"], Options())
        asked = [message["channels"] for message, _ in self.line.asked]
        self.line.confirm("e1:jobs=5", "live")

        self.assertEqual((none, asked, twice.done()), (True, [["jobs"]], True))

    async def test_whoever_comes_when_it_is_closed_is_told(self):
        self.stream.close()
        with self.assertRaises(Refused) as refused:
            self.stream.subscribe(["jobs"], Options()).result()

        self.assertEqual(refused.exception.code, "closed")


class Refusals(unittest.IsolatedAsyncioTestCase):
    def setUp(self):
        self.seen, self.faults = [], []
        self.stream = Stream(lambda taken: self.seen.append(taken["seq"]), lambda lost: None, self.faults.append)
        self.line = Line()
        self.stream.attach(self.line)

    def refuse(self, code="forbidden"):
        self.line.asked.pop(0)[1]({"type": "error", "code": code, "error": "no"})

    async def test_a_refused_change_leaves_what_was_followed_as_it_went_on(self):
        first = self.stream.subscribe(["sessions"], Options())
        self.line.confirm("e1:sessions=5")
        await first
        second = self.stream.subscribe(["sessions"], Options(where={"nothing": 1}))
        self.stream.take(event(6))
        self.refuse("invalid_message")
        with self.assertRaises(Refused):
            await second
        self.stream.take(event(6))
        self.stream.take(event(7))

        self.assertEqual(self.seen, [6, 7])
        self.assertEqual(self.stream.following.places["sessions"].options, Options())

    async def test_a_refused_change_leaves_what_was_asked_for_just_before_it(self):
        first = self.stream.subscribe(["sessions"], Options())
        second = self.stream.subscribe(["sessions", "nothing"], Options())
        self.line.confirm("e1:sessions=5", "live")
        self.stream.take(event(6))
        self.refuse("unknown_channel")
        self.stream.take(event(7))
        outcomes = await asyncio.gather(first, second, return_exceptions=True)

        self.assertEqual((self.seen, self.line.asked, self.faults), ([6, 7], [], []))
        self.assertEqual((outcomes[0], outcomes[1].code), ([], "unknown_channel"))

    async def test_a_change_is_not_confirmed_by_what_is_said_to_the_one_before_it(self):
        first = self.stream.subscribe(["sessions"], Options())
        second = self.stream.subscribe(["sessions"], Options(where={"nothing": 1}))
        self.line.confirm("e1:sessions=5", "live")
        early = (first.done(), second.done())
        self.refuse("invalid_message")
        with self.assertRaises(Refused):
            await second

        self.assertEqual((early, self.faults), ((True, False), []))

    async def test_what_is_asked_for_just_behind_a_refused_one_holds(self):
        first = self.stream.subscribe(["sessions", "nothing"], Options())
        second = self.stream.subscribe(["sessions"], Options())
        self.refuse("unknown_channel")
        self.line.confirm("e1:sessions=5", "live")
        self.stream.take(event(6))
        outcomes = await asyncio.gather(first, second, return_exceptions=True)

        self.assertEqual((outcomes[0].code, outcomes[1], self.seen), ("unknown_channel", [], [6]))

    async def test_of_two_refused_ones_nothing_is_left(self):
        both = [self.stream.subscribe(["sessions"], Options(where={name: 1})) for name in ("a", "b")]
        self.refuse("invalid_message")
        self.refuse("invalid_message")
        outcomes = await asyncio.gather(*both, return_exceptions=True)

        self.assertEqual([outcome.code for outcome in outcomes], ["invalid_message"] * 2)
        self.assertEqual((self.stream.following.places, self.line.asked, self.faults), ({}, [], []))

    async def test_a_change_made_without_a_line_and_refused_on_the_next_leaves_what_was_followed(self):
        first = self.stream.subscribe(["sessions"], Options())
        self.line.confirm("e1:sessions=5", "live")
        await first
        self.stream.detach()
        second = self.stream.subscribe(["sessions"], Options(where={"nothing": 1}))
        self.stream.attach(self.line)
        self.refuse("invalid_message")
        with self.assertRaises(Refused):
            await second
        asked = [message for message, _ in self.line.asked]
        self.line.confirm("e1:sessions=5")
        self.stream.take(event(6))

        self.assertEqual(asked, [{"type": "subscribe", "channels": ["sessions"], "since": "e1:sessions=5"}])
        self.assertEqual((self.seen, self.faults), ([6], []))

    async def test_on_a_new_line_one_channel_that_is_refused_does_not_take_the_others_along(self):
        subscribed = self.stream.subscribe(["photos", "sessions"], Options())
        self.line.confirm("e1:photos=1,sessions=1", "live")
        await subscribed
        self.stream.detach()
        self.stream.attach(self.line)
        self.refuse()
        alone = [message["channels"] for message, _ in self.line.asked]
        self.refuse()
        self.line.confirm("e1:sessions=1")
        self.stream.take(event(2))

        self.assertEqual(alone, [["photos"], ["sessions"]])
        self.assertEqual([fault.code for fault in self.faults], ["forbidden"])
        self.assertEqual((self.seen, list(self.stream.following.places)), ([2], ["sessions"]))


if __name__ == "__main__":
    unittest.main()
