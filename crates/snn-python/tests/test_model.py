"""Models on arrays: bits, shapes, errors, pickles, threads."""

import pickle
import signal
import threading
import time
import unittest

import numpy as np
import snn
from reference import CIFAR10, CIFAR100, images, sums


class Bits(unittest.TestCase):
    def test_a_batch_has_the_sums_of_the_c_interface(self):
        for path in (CIFAR10, CIFAR100):
            model, batch = snn.Model(path), images(150)
            expected = sums(path, batch)
            for threads in (None, 1, 2, 3):
                found = snn.Model(path, threads=threads).run(batch)
                np.testing.assert_array_equal(found.sums, expected)
            np.testing.assert_array_equal(model.classify(batch), expected.argmax(axis=1))

    def test_an_image_alone_has_the_bits_of_the_batch(self):
        for threads in (None, 2):
            model, batch = snn.Model(CIFAR10, threads=threads), images(5)
            together, session = model.run(batch), model.session()
            for index, image in enumerate(batch):
                for alone in (model.run(image), session.run(image)):
                    np.testing.assert_array_equal(alone.sums, together.sums[index])
                    np.testing.assert_array_equal(alone.logits, together.logits[index])
                    np.testing.assert_array_equal(
                        alone.probabilities, together.probabilities[index]
                    )
                    self.assertEqual(alone.argmax, together.argmax[index])
                    self.assertEqual(alone.best(4), together.best(4)[index])

    def test_every_instruction_set_here_gives_the_same_bits(self):
        batch = images(3)
        expected, tried = snn.Model(CIFAR10).run(batch).sums, 0
        for name in ("scalar", "avx2", "avx512", "avx512vnni", "amx"):
            try:
                model = snn.Model(CIFAR10, instruction_set=name)
            except snn.ModelError as error:
                self.assertIn("not available here", str(error))
                continue
            tried += 1
            self.assertEqual(model.instruction_set, name)
            np.testing.assert_array_equal(model.run(batch).sums, expected)
        self.assertGreaterEqual(tried, 1)

    def test_logits_are_multiples_of_the_sums(self):
        scores = snn.Model(CIFAR10).run(images(4))
        ratio = scores.logits[scores.sums != 0] / scores.sums[scores.sums != 0]
        np.testing.assert_allclose(ratio, ratio[0], rtol=1e-12)
        softmax = np.exp(scores.logits) / np.exp(scores.logits).sum(axis=1, keepdims=True)
        np.testing.assert_allclose(scores.probabilities, softmax, rtol=1e-12)

    def test_frames_of_one_image_are_the_image(self):
        model, batch = snn.Model(CIFAR10), images(3)
        frames = np.stack([batch] * model.time_steps)
        expected = model.run(batch).sums
        np.testing.assert_array_equal(model.run_frames(frames).sums, expected)
        np.testing.assert_array_equal(model.run_frames(frames[:, 1]).sums, expected[1])
        np.testing.assert_array_equal(model.session().run_frames(frames[:, 1]).sums, expected[1])


class Arrays(unittest.TestCase):
    def setUp(self):
        self.model = snn.Model(CIFAR10)

    def test_any_memory_order_and_any_size_is_taken(self):
        batch = images(70)
        expected = self.model.run(batch).sums
        last = np.ascontiguousarray(batch.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
        records = np.zeros((70, 3073), np.uint8)
        records[:, 1:] = batch.reshape(70, -1)
        views = [last, np.asfortranarray(batch), records[:, 1:].reshape(70, 3, 32, 32)]
        for view in views:
            np.testing.assert_array_equal(self.model.run(view).sums, expected)
        np.testing.assert_array_equal(self.model.run(batch[::-3]).sums, expected[::-3])
        read_only = batch.copy()
        read_only.flags.writeable = False
        np.testing.assert_array_equal(self.model.run(read_only).sums, expected)
        empty = self.model.run(batch[:0])
        self.assertEqual((empty.sums.shape, empty.best(2)), ((0, 10), []))
        self.assertEqual(self.model.classify(batch[:0]).shape, (0,))

    def test_bytes_and_flat_arrays_are_one_image(self):
        image = images(1)[0]
        expected = self.model.run(image).sums
        for flat in (image.tobytes(), bytearray(image.tobytes()), image.ravel()):
            np.testing.assert_array_equal(self.model.run(flat).sums, expected)

    def test_what_does_not_fit_is_an_error_that_says_what_was_expected(self):
        image, model = images(1)[0], self.model
        session = model.session()
        wrong = [
            (lambda: model.run(image.transpose(1, 2, 0)), "H, W, C order"),
            (lambda: model.run(image[:2]), r"shape \[3, 32, 32\] or \[B, 3, 32, 32\], found"),
            (lambda: model.run(image[None, None]), r"found \[1, 1, 3, 32, 32\]"),
            (lambda: model.run(image / 255), "found float64"),
            (lambda: model.run(image.astype(np.int64)), "found int64"),
            (lambda: model.run(b"123"), r"found \[3\]"),
            (lambda: model.run(None), "found object"),
            (lambda: model.run_frames(image), r"\[2, 3, 32, 32\] or \[2, B, 3, 32, 32\]"),
            (lambda: model.run_frames(np.stack([image] * 3)), r"found \[3, 3, 32, 32\]"),
            (lambda: session.run(images(2)), "found a batch"),
            (lambda: session.push_events(([0], [0], [0], [1])), "height, width"),
        ]
        for call, text in wrong:
            with self.assertRaisesRegex(snn.InputError, text):
                call()

    def test_files_and_options_that_cannot_be_used_say_why(self):
        data = CIFAR10.read_bytes()
        wrong = [
            (lambda: snn.Model("absent"), "absent: no such file"),
            (lambda: snn.Model(__file__), "not a safetensors file"),
            (lambda: snn.Model.from_bytes(data[:-1]), "."),
            (lambda: snn.Model(CIFAR10, instruction_set="neon"), "expected scalar, avx2"),
            (lambda: snn.Model(CIFAR10, threads=0), "at least 1"),
            (lambda: snn.Model(CIFAR10, threads=10**6), "expected at most"),
        ]
        for call, text in wrong:
            with self.assertRaisesRegex(snn.ModelError, text):
                call()
        self.assertTrue(issubclass(snn.ModelError, snn.SnnError))
        self.assertTrue(issubclass(snn.InputError, snn.SnnError))


class Facts(unittest.TestCase):
    def test_a_model_knows_its_shape_and_classes(self):
        model = snn.Model(CIFAR100)
        self.assertEqual((model.input_shape, model.class_count), ((3, 32, 32), 100))
        self.assertEqual((len(model.classes), model.classes[0]), (100, "apple"))
        self.assertEqual((model.form, model.threads), ("grid", None))
        self.assertEqual(model.weight_bytes, sum(node.weight_bytes for node in model.plan()))
        self.assertGreater(model.weight_bytes, 100_000)
        self.assertIn("form grid", repr(model))

    def test_counts_are_of_the_images_that_were_given(self):
        model, batch = snn.Model(CIFAR10), images(3)
        one, all_three = model.count(batch[0]), model.count(batch)
        self.assertEqual((one.samples, all_three.samples, one.time_steps), (1, 3, 2))
        others = model.count(batch[1:])
        self.assertEqual(
            one.total.additions + others.total.additions, all_three.total.additions
        )
        self.assertEqual(sum(node.events for node in one.nodes), one.total.events)
        self.assertGreater(one.total.additions, one.total.events)
        sites = [node for node in one.nodes if node.neurons]
        self.assertTrue(all(0 <= node.firing_rate for node in sites))
        frames = np.stack([batch] * model.time_steps)
        self.assertEqual(model.count(frames, frames=True).samples, 3)

    def test_a_pickled_model_is_the_same(self):
        model, batch = snn.Model(CIFAR10, threads=2, statistics=True), images(3)
        again = pickle.loads(pickle.dumps(model))
        self.assertEqual(again.threads, 2)
        self.assertEqual(again.to_bytes(), model.to_bytes())
        np.testing.assert_array_equal(again.run(batch).sums, model.run(batch).sums)
        self.assertTrue(again.session().statistics())
        prediction = model.run(batch[0]).best(1)[0]
        self.assertEqual(pickle.loads(pickle.dumps(prediction)), prediction)


class Threads(unittest.TestCase):
    def test_python_goes_on_while_a_batch_runs(self):
        model, batch, counted = snn.Model(CIFAR10, threads=1), images(300), []
        done = threading.Event()

        def work():
            counted.append(model.run(batch).sums)
            done.set()

        thread = threading.Thread(target=work)
        thread.start()
        ticks = 0
        while not done.wait(0.001):
            ticks += 1
        thread.join()
        # The batch takes a tenth of a second on the fastest machines; with the lock held there
        # would be no tick at all.
        self.assertGreater(ticks, 3)

    def test_threads_share_a_model(self):
        model, batch, found = snn.Model(CIFAR10), images(12), {}

        def work(index):
            found[index] = [model.run(batch[index]).sums, model.run(batch).sums[index]]

        threads = [threading.Thread(target=work, args=(index,)) for index in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        expected = model.run(batch).sums
        for index in range(12):
            for sums_of_one in found[index]:
                np.testing.assert_array_equal(sums_of_one, expected[index])

    @unittest.skipUnless(hasattr(signal, "setitimer"), "no timers of signals here")
    def test_ctrl_c_ends_a_long_batch(self):
        model, batch = snn.Model(CIFAR10, threads=1), np.zeros((100_000, 3, 32, 32), np.uint8)
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        before = signal.signal(signal.SIGALRM, signal.default_int_handler)
        started = time.monotonic()
        try:
            with self.assertRaises(KeyboardInterrupt):
                model.run(batch)
        finally:
            signal.signal(signal.SIGALRM, before)
        self.assertLess(time.monotonic() - started, 20)


if __name__ == "__main__":
    unittest.main()
