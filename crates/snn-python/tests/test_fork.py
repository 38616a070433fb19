"""Children of fork, as `multiprocessing` makes them on Linux: they use what the parent used."""

import multiprocessing
import os
import signal
import threading
import time
import unittest

import numpy as np
import snn
from reference import CIFAR10, images

# Seconds in which a child ends.
PATIENCE = 30


def in_child(work):
    """Whether `work` returns True in a child of fork; False also where it hangs."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if work() else 2
        finally:
            os._exit(code)
    ends = time.monotonic() + PATIENCE
    while time.monotonic() < ends:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status == 0
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


def classified(part):
    """Work of a pool: the model came by the fork."""
    return MODEL.classify(part)


MODEL = None


@unittest.skipUnless(hasattr(os, "fork"), "no fork here")
class Forks(unittest.TestCase):
    def test_a_child_uses_the_model_and_the_session_of_its_parent(self):
        batch = images(4)
        for threads in (None, 1, 2, 8):
            model = snn.Model(CIFAR10, threads=threads)
            session = model.session()
            expected = model.run(batch).sums

            def work():
                found = [model.run(batch).sums[0], model.run(batch[0]).sums]
                found.append(session.run(batch[0]).sums)
                same = all((one == expected[0]).all() for one in found)
                counted = model.count(batch[0]).samples == 1
                # A child of the child, too.
                again = in_child(lambda: bool((model.run(batch).sums == expected).all()))
                return same and counted and again

            session.run(batch[0])
            model.run(batch[0])
            model.count(batch)
            self.assertTrue(in_child(work), f"threads: {threads}")
            np.testing.assert_array_equal(model.run(batch).sums, expected)

    def test_a_parent_may_fork_while_its_threads_compute(self):
        model, batch, stop = snn.Model(CIFAR10, threads=2), images(2), threading.Event()
        expected = model.run(batch).sums

        def work():
            while not stop.is_set():
                model.run(batch[0])
                model.run(batch)

        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(30):
                self.assertTrue(in_child(lambda: bool((model.run(batch).sums == expected).all())))
        finally:
            stop.set()
            for thread in threads:
                thread.join()

    def test_a_session_in_use_at_the_fork_is_an_error_at_once(self):
        session, image, stop = snn.Model(CIFAR10).session(), images(1)[0], threading.Event()

        def work():
            while not stop.is_set():
                session.run(image)

        def refused_or_right():
            try:
                return session.run(image).steps == 2
            except snn.SnnError as error:
                return "when this process was forked" in str(error)

        thread = threading.Thread(target=work)
        thread.start()
        try:
            for _ in range(10):
                self.assertTrue(in_child(refused_or_right))
        finally:
            stop.set()
            thread.join()

    def test_a_pool_of_forked_workers_classifies(self):
        global MODEL
        batch = images(64)
        MODEL = snn.Model(CIFAR10, threads=1)
        expected = MODEL.classify(batch)
        with multiprocessing.get_context("fork").Pool(2) as pool:
            parts = pool.map_async(classified, np.split(batch, 8)).get(timeout=PATIENCE)
        np.testing.assert_array_equal(np.concatenate(parts), expected)

    def test_a_pool_of_spawned_workers_takes_a_pickled_model(self):
        batch = images(16)
        model = snn.Model(CIFAR10, threads=1)
        with multiprocessing.get_context("spawn").Pool(2) as pool:
            parts = pool.map_async(model.classify, np.split(batch, 4)).get(timeout=PATIENCE)
        np.testing.assert_array_equal(np.concatenate(parts), model.classify(batch))


if __name__ == "__main__":
    unittest.main()
