"""Sessions: streams of frames and events, state, statistics, one thread at a time."""

import tempfile
import threading
import unittest
from pathlib import Path

import numpy as np
import snn
from camera import model as camera
from reference import CIFAR10, images


class Streams(unittest.TestCase):
    def test_a_stream_of_equal_frames_is_the_image(self):
        model = snn.Model(CIFAR10)
        session, image = model.session(), images(1)[0]
        for step in range(1, model.time_steps + 1):
            scores = session.push(image)
            self.assertEqual(scores.steps, step)
        np.testing.assert_array_equal(scores.sums, model.run(image).sums)

    def test_a_state_is_a_value(self):
        model, frames = snn.Model(CIFAR10), images(5)
        session = model.session()
        session.push(frames[0])
        kept = session.state
        after = [session.push(frame).sums for frame in frames[1:]]
        other = model.session()
        other.state = kept
        for frame, expected in zip(frames[1:], after):
            np.testing.assert_array_equal(other.push(frame).sums, expected)
        self.assertEqual((kept.steps, other.state.steps), (1, 5))
        np.testing.assert_array_equal(other.state.scores.sums, after[-1])
        session.reset()
        self.assertEqual(session.state.steps, 0)
        first = session.push(frames[0])
        np.testing.assert_array_equal(first.sums, kept.scores.sums)

    def test_a_state_of_another_network_is_refused(self):
        session = snn.Model(CIFAR10).session()
        session.state = camera().session().state
        with self.assertRaises(snn.SnnError):
            session.push(images(1)[0])

    def test_an_early_exit_runs_no_more_than_it_must(self):
        model, image = snn.Model(CIFAR10), images(1)[0]
        session = model.session()
        self.assertEqual(session.run_until(image, 0).steps, 1)
        whole = session.run_until(image, 2**62)
        self.assertEqual(whole.steps, model.time_steps)
        np.testing.assert_array_equal(whole.sums, model.run(image).sums)

    def test_statistics_are_there_where_they_were_asked_for(self):
        image = images(1)[0]
        session = snn.Model(CIFAR10, statistics=True).session()
        session.run(image)
        nodes = {node.node: node for node in session.statistics()}
        self.assertTrue(any(node.runs == 1 and node.nanoseconds > 0 for node in nodes.values()))
        densities = [node.density for node in nodes.values() if node.density is not None]
        self.assertTrue(densities and all(0 <= density <= 1 for density in densities))
        session.reset_statistics()
        self.assertEqual({node.runs for node in session.statistics()}, {0})
        self.assertEqual(snn.Model(CIFAR10).session().statistics(), [])
        self.assertGreater(session.nbytes, 10_000)

    def test_a_second_thread_gets_an_error_and_no_wrong_result(self):
        session, image, errors = snn.Model(CIFAR10).session(), images(1)[0], []
        expected, wrong = session.run(image).sums, []

        def work():
            for _ in range(200):
                try:
                    if (session.run(image).sums != expected).any():
                        wrong.append(1)
                except snn.SnnError as error:
                    errors.append(str(error))

        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(wrong, [])
        self.assertTrue(all("in use by another thread" in error for error in errors))
        self.assertTrue(errors, "three threads never met")


class Events(unittest.TestCase):
    """A sensor of 4 x 3, T = 3."""

    def setUp(self):
        self.model = camera()
        rng = np.random.default_rng(2)
        self.x, self.y = rng.integers(0, 4, 300), rng.integers(0, 3, 300)
        self.t, self.p = np.sort(rng.integers(0, 9_000, 300)), rng.integers(0, 2, 300)

    def counted(self, part):
        frame = np.zeros((2, 3, 4), np.uint8)
        np.add.at(frame, (self.p[part], self.y[part], self.x[part]), 1)
        return frame

    def test_events_are_the_frame_that_counts_them(self):
        events, frames = self.model.session(), self.model.session()
        parts = [slice(0, 90), slice(90, 90), slice(90, 300)]
        cut = [(self.x[part], self.y[part], self.t[part], self.p[part]) for part in parts]
        for part, one in zip(parts, cut):
            expected = frames.push(self.counted(part)).sums
            np.testing.assert_array_equal(events.push_events(one).sums, expected)
        np.testing.assert_array_equal(events.run_events(cut).sums, expected)
        stacked = np.stack([self.counted(part) for part in parts])
        np.testing.assert_array_equal(self.model.run_frames(stacked).sums, expected)

    def test_arrays_with_fields_are_taken_by_the_names_of_the_fields(self):
        expected = self.model.session().push_events((self.x, self.y, self.t, self.p)).sums
        for names, types in [("xytp", "HHqB"), ("tpxy", "Qbhh"), ("xytp", "iil?")]:
            events = np.empty(300, [(name, kind) for name, kind in zip(names, types)])
            for name in names:
                events[name] = getattr(self, name)
            found = self.model.session().push_events(events)
            np.testing.assert_array_equal(found.sums, expected)
            # None, and one at each alignment.
            for part in (slice(0, 0), *(slice(at, at + 1) for at in range(8))):
                session = self.model.session()
                cut = (self.x[part], self.y[part], self.t[part], self.p[part])
                expected_of_part = session.push_events(cut).sums
                session.reset()
                np.testing.assert_array_equal(
                    session.push_events(events[part]).sums, expected_of_part
                )
        named = [("timestamp", "u8"), ("x", "u2"), ("y", "u2"), ("polarity", "?")]
        events = np.empty(300, named)
        for (name, _), values in zip(named, (self.t, self.x, self.y, self.p)):
            events[name] = values
        np.testing.assert_array_equal(self.model.session().push_events(events).sums, expected)

    def test_windows_cut_by_time_and_keep_the_kind(self):
        events = np.empty(300, [("x", "u2"), ("y", "u2"), ("t", "i8"), ("p", "?")])
        for name in "xytp":
            events[name] = getattr(self, name)
        cut = snn.windows(events, 1_000)
        self.assertEqual(sum(len(window) for window in cut), 300)
        for index, window in enumerate(cut):
            begin = self.t[0] + 1_000 * index
            self.assertTrue(((window["t"] >= begin) & (window["t"] < begin + 1_000)).all())
        parts = snn.windows((self.x, self.y, self.t, self.p), 1_000)
        self.assertEqual([len(window[0]) for window in parts], [len(window) for window in cut])
        self.assertEqual(snn.windows(events[:0], 5), [])
        swapped = events.astype([("x", ">u2"), ("y", ">u2"), ("t", ">i8"), ("p", "?")])
        self.assertEqual([len(one) for one in snn.windows(swapped, 1_000)], list(map(len, cut)))
        with self.assertRaisesRegex(snn.InputError, "at most 16777216 windows"):
            snn.windows(([0, 0], [0, 0], [0, 2**60], [0, 0]), 1)

    def test_wrong_events_are_errors_that_name_the_event_and_the_field(self):
        session, one = self.model.session(), np.array([1])
        wrong = [
            ((one, one, one), "a tuple of four arrays"),
            (np.zeros(3), "an array with the fields"),
            (np.zeros(3, [("x", "u2"), ("y", "u2"), ("t", "i8")]), "no field p among x, y, t"),
            ("text", "an array with the fields"),
            ((one, one, one.astype(float), one), "field t: .* whole microseconds"),
            ((one, one, one.astype("u8") << np.uint64(63), one), r"below 2\^63"),
            ((one, one, one, np.array([[1]])), "field p: expected integers in one axis"),
            ((one, one, one, np.array([1, 1])), "as many values"),
            ((-one, one, one, one), "event 0: expected x and y"),
            ((one, one, one, -one), "polarity 1 for ON or 0 for OFF, found -1"),
            ((one * 4, one, one, one), "x below 4 and y below 3"),
        ]
        for events, text in wrong:
            with self.assertRaisesRegex(snn.InputError, text):
                session.push_events(events)
        self.assertEqual(session.state.steps, 0, "what was refused moved nothing")
        with self.assertRaisesRegex(snn.InputError, "3 slices of events"):
            session.run_events([(one, one, one, one)])
        with self.assertRaisesRegex(snn.InputError, "at least 1 microsecond"):
            snn.windows((one, one, one, one), 0)

    def test_a_single_channel_may_be_left_out(self):
        grey = camera(channels=1)
        image = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20
        expected = grey.run(image[None]).sums
        np.testing.assert_array_equal(grey.run(image).sums, expected)
        np.testing.assert_array_equal(grey.run(np.stack([image] * 2)).sums[1], expected)
        frames = np.stack([image] * 3)
        np.testing.assert_array_equal(grey.run_frames(frames).sums, expected)
        two = np.stack([frames] * 2, axis=1)
        np.testing.assert_array_equal(grey.run_frames(two).sums[1], expected)
        with self.assertRaisesRegex(snn.InputError, r"\[1, 3, 4\] or \[B, 1, 3, 4\], found"):
            grey.run(image.T)


class Files(unittest.TestCase):
    def test_a_path_may_be_of_any_kind(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "mödel.safetensors"
            path.write_bytes(camera().to_bytes())
            for name in (path, str(path)):
                self.assertEqual(snn.Model(name).time_steps, 3)


if __name__ == "__main__":
    unittest.main()
