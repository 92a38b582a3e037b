"""What the desktop example keeps, event by event; no Qt is needed."""

import unittest

from examples.desktop.model import Studio


def row(number, status="completed", score=None):
    return {
        "id": number,
        "session_id": 1,
        "file_name": f"IMG_{number}.CR3",
        "ai_score": score,
        "selected_preset": "",
        "status": status,
    }


def about(kind, photo, seq, channel="jobs"):
    return {"type": kind, "channel": channel, "seq": seq, "photo_id": photo, "session_id": 1}


class Queue(unittest.TestCase):
    def setUp(self):
        self.studio = Studio()
        self.studio.show_queue({"photos": [row(1, score=3.0), row(2, score=4.5)]})

    def ids(self):
        return [photo.id for photo in self.studio.waiting]

    def test_the_best_is_first_and_decided_ones_leave(self):
        before = self.ids()
        self.studio.apply(about("photo_approved", 2, 1, "photos"))

        self.assertEqual((before, self.ids()), ([2, 1], [1]))

    def test_a_photo_whose_job_is_done_is_read_and_enters(self):
        asked = self.studio.apply(about("job_completed", 3, 10))
        again = self.studio.apply(about("job_completed", 3, 11))
        taken = self.studio.photo_read(row(3), 3, {"jobs": 11, "photos": 0})

        self.assertEqual((asked, again, taken), (3, None, True))
        self.assertIn(3, self.ids())

    def test_an_answer_that_is_older_than_an_event_is_not_believed(self):
        self.studio.apply(about("job_completed", 3, 10))
        self.studio.apply(about("photo_approved", 3, 5, "photos"))
        stale = self.studio.photo_read(row(3), 3, {"jobs": 10, "photos": 4})
        fresh = self.studio.photo_read(row(3, status="approved"), 3, {"jobs": 10, "photos": 5})

        self.assertEqual((stale, fresh), (False, True))
        self.assertNotIn(3, self.ids())

    def test_a_deleted_session_takes_its_photos_along(self):
        self.studio.apply({"type": "session_deleted", "channel": "sessions", "seq": 1, "session_id": 1, "session_name": ""})

        self.assertEqual(self.ids(), [])


if __name__ == "__main__":
    unittest.main()
