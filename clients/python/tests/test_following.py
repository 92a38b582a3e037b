"""The client's rule: what is applied, what is passed over, what is a gap."""

import unittest

from lightwire._following import Following, Gap, Options, format_cursor, format_kept, parse_cursor, parse_kept


def event(seq, channel="jobs"):
    return {"type": "job_cancelled", "channel": channel, "seq": seq}


def batch(after, upto, *seqs):
    return {"type": "batch", "channel": "jobs", "after": after, "upto": upto, "events": [event(seq) for seq in seqs]}


def confirmation(cursor, **statuses):
    return {"cursor": cursor, "recovery": {channel: {"status": status} for channel, status in statuses.items()}}


def following_at(position, options=Options(), channel="jobs"):
    following = Following()
    following.want([channel], options)
    (ask,) = following.asks()
    following.confirmed(ask, confirmation(f"e1:{channel}={position}", **{channel: "live"}))
    return following


def seqs(following, message):
    return [taken["seq"] for taken in following.take(message)]


class Rule(unittest.TestCase):
    def test_the_next_event_is_applied_and_a_known_one_is_not(self):
        following = following_at(10)

        self.assertEqual([seqs(following, event(seq)) for seq in (10, 11, 11, 12)], [[], [11], [], [12]])
        self.assertEqual(following.cursor(), "e1:jobs=12")

    def test_an_event_after_a_hole_is_a_gap_and_moves_nothing(self):
        following = following_at(10)

        with self.assertRaises(Gap):
            seqs(following, event(12))
        self.assertEqual(following.cursor(), "e1:jobs=10")

    def test_while_the_repair_is_on_its_way_a_gap_is_no_news_and_the_next_event_is_applied(self):
        following = following_at(10)
        following.asks(["jobs"])

        self.assertEqual([seqs(following, event(seq)) for seq in (12, 11)], [[], [11]])

    def test_a_batch_covers_what_was_filtered_away(self):
        following = following_at(10, Options(where={"session_id": 1}))

        self.assertEqual(seqs(following, batch(10, 20, 12, 15)), [12, 15])
        self.assertEqual(seqs(following, batch(20, 22)), [])
        self.assertEqual(following.cursor(), "e1:jobs=22")

    def test_a_batch_that_begins_before_the_position_gives_only_what_is_new(self):
        following = following_at(10, Options(batch_ms=50))

        self.assertEqual(seqs(following, batch(5, 12, 8, 10, 11)), [11])
        self.assertEqual(following.cursor(), "e1:jobs=12")

    def test_a_batch_after_the_position_is_a_gap(self):
        following = following_at(10, Options(batch_ms=50))

        with self.assertRaises(Gap):
            seqs(following, batch(11, 12, 12))

    def test_nothing_is_applied_before_it_is_known_where_a_channel_begins(self):
        following = Following()
        following.want(["jobs"], Options())

        self.assertEqual(seqs(following, event(1)), [])
        self.assertIsNone(following.cursor())

    def test_a_handler_that_unsubscribes_gets_no_more_of_the_batch(self):
        following = following_at(10)
        taken = []
        for one in following.take(batch(10, 13, 11, 12, 13)):
            taken.append(one["seq"])
            following.drop(["jobs"])

        self.assertEqual(taken, [11])


class Pongs(unittest.TestCase):
    def test_a_pong_moves_a_channel_that_comes_in_batches(self):
        following = following_at(10, Options(where={"session_id": 1}))

        self.assertEqual(following.pong("e1:jobs=15"), [])
        self.assertEqual(following.cursor(), "e1:jobs=15")

    def test_a_pong_ahead_of_a_channel_that_comes_event_by_event_shows_a_loss(self):
        following = following_at(10)

        self.assertEqual(following.pong("e1:jobs=10"), [])
        self.assertEqual(following.pong("e1:jobs=11"), ["jobs"])
        self.assertEqual(following.cursor(), "e1:jobs=10")

    def test_a_pong_of_another_journal_moves_nothing(self):
        following = following_at(10, Options(batch_ms=0))

        self.assertEqual(following.pong("e2:jobs=15"), [])
        self.assertEqual(following.cursor(), "e1:jobs=10")


class Confirmations(unittest.TestCase):
    def test_a_reconnect_asks_since_the_position_one_message_per_options(self):
        following = following_at(10)
        following.want(["photos", "system"], Options(batch_ms=100))
        messages = [ask.message for ask in following.asks()]

        self.assertEqual(
            messages,
            [
                {"type": "subscribe", "channels": ["jobs"], "since": "e1:jobs=10"},
                {"type": "subscribe", "channels": ["photos", "system"], "batch_ms": 100},
            ],
        )

    def test_channels_of_different_journals_are_asked_for_apart(self):
        following = following_at(10)
        following.want(["photos"], Options())
        following.places["photos"].position = ("e0", 3)

        self.assertEqual([ask.message["since"] for ask in following.asks()], ["e1:jobs=10", "e0:photos=3"])

    def test_a_recovered_channel_keeps_its_position_even_where_it_went_on_meanwhile(self):
        following = following_at(10)
        (ask,) = following.asks()
        seqs(following, event(11))
        lost = following.confirmed(ask, confirmation("e1:jobs=10", jobs="recovered"))

        self.assertEqual(lost, [])
        self.assertEqual(following.cursor(), "e1:jobs=11")

    def test_a_lost_position_is_told_and_begins_where_the_server_says_also_further_back(self):
        following = following_at(10)
        (ask,) = following.asks()
        lost = following.confirmed(ask, confirmation("e2:jobs=4", jobs="snapshot_required"))

        self.assertEqual(lost, ["jobs"])
        self.assertEqual(following.cursor(), "e2:jobs=4")

    def test_a_confirmation_of_what_was_dropped_meanwhile_changes_nothing(self):
        following = Following()
        following.want(["jobs"], Options())
        (ask,) = following.asks()
        following.drop(["jobs"])
        following.want(["jobs"], Options(batch_ms=50))
        following.confirmed(ask, confirmation("e1:jobs=9", jobs="live"))

        self.assertIsNone(following.cursor())

    def test_a_stored_position_is_where_a_channel_begins(self):
        following = Following(stored=parse_cursor("e1:jobs=7,photos=3"))
        following.want(["jobs"], Options())

        self.assertEqual(following.asks()[0].message["since"], "e1:jobs=7")
        self.assertEqual(following.cursor(), "e1:jobs=7,photos=3")


    def test_stored_positions_outlive_a_restart_of_the_server_though_their_channels_are_not_followed_yet(self):
        following = Following(stored=parse_kept("e1:jobs=7,photos=3"))
        following.want(["jobs"], Options())
        following.confirmed(following.asks()[0], confirmation("e2:jobs=9", jobs="recovered"))
        kept = following.cursor()
        later = Following(stored=parse_kept(kept))
        later.want(["jobs", "photos"], Options())

        self.assertEqual(kept, "e1:photos=3 e2:jobs=9")
        self.assertEqual([ask.message["since"] for ask in later.asks()], ["e2:jobs=9", "e1:photos=3"])

    def test_between_two_confirmations_after_a_restart_both_are_in_the_cursor(self):
        following = following_at(10)
        following.want(["photos"], Options(batch_ms=50))
        following.confirmed(following.asks(["photos"])[0], confirmation("e1:photos=3", photos="live"))
        following.cut()
        jobs, _ = following.asks()
        following.confirmed(jobs, confirmation("e2:jobs=10", jobs="recovered"))

        self.assertEqual(following.cursor(), "e1:photos=3 e2:jobs=10")


class Snapshots(unittest.TestCase):
    def test_while_a_snapshot_is_read_nothing_is_applied_or_asked(self):
        following = following_at(10)
        following.hold(["jobs"])

        self.assertEqual(seqs(following, event(11)), [])
        self.assertEqual(following.asks(), [])

    def test_after_it_the_stream_goes_on_from_its_cursor(self):
        following = following_at(10)
        following.hold(["jobs"])
        following.release(["jobs"], "e1:jobs=14,photos=2")

        self.assertEqual(following.asks()[0].message["since"], "e1:jobs=14")
        self.assertEqual([seqs(following, event(seq)) for seq in (13, 15)], [[], [15]])


class Cursors(unittest.TestCase):
    def test_a_cursor_is_read_and_written(self):
        self.assertEqual(parse_cursor("k3v9q2:jobs=120,photos=88"), {"jobs": ("k3v9q2", 120), "photos": ("k3v9q2", 88)})
        self.assertEqual(format_cursor("k3", {"photos": 1, "jobs": 2}), "k3:jobs=2,photos=1")
        self.assertEqual(parse_cursor(None), {})

    def test_another_text_is_none(self):
        for text in ("jobs", ":jobs=1", "e1:jobs=x"):
            for read in (parse_cursor, parse_kept):
                with self.assertRaises(ValueError):
                    read(text)

    def test_what_is_kept_is_a_cursor_per_journal(self):
        positions = {"photos": ("e1", 88), "jobs": ("e2", 120), "export": ("e1", 0)}

        self.assertEqual(format_kept(positions), "e1:export=0,photos=88 e2:jobs=120")
        self.assertEqual(parse_kept(format_kept(positions)), positions)
        self.assertEqual(parse_kept("k3v9q2:jobs=120,photos=88"), {"jobs": ("k3v9q2", 120), "photos": ("k3v9q2", 88)})
        self.assertEqual((parse_kept(None), parse_kept(""), format_kept({})), ({}, {}, None))


if __name__ == "__main__":
    unittest.main()
