"""The programs of `examples/python` run, and print what the package says."""

import importlib.util
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import numpy as np
import snn
from camera import model as camera
from reference import CIFAR10, CIFAR100, ROOT, images, sums

EXAMPLES = ROOT / "examples/python"


def run(name, *arguments, **options):
    command = [sys.executable, EXAMPLES / name, *arguments]
    return subprocess.run([str(part) for part in command], capture_output=True, **options)


def is_here(*modules):
    return all(importlib.util.find_spec(module) for module in modules)


class Programs(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def test_one_image_is_classified(self):
        made_up = np.resize(np.arange(256, dtype=np.uint8), (3, 32, 32))
        path = self.folder / "image.raw"
        images(1)[0].tofile(path)
        for pixels, arguments in ((made_up, []), (images(1)[0], [path])):
            done = run("classify.py", CIFAR100, *arguments)
            self.assertEqual(done.returncode, 0, done.stderr)
            scores = sums(CIFAR100, pixels[None])[0]
            names = [snn.Model(CIFAR100).classes[one] for one in np.argsort(-scores, kind="stable")]
            found = [line.split(" % ") for line in done.stdout.decode().splitlines()]
            self.assertEqual([name for _, name in found], names[:5])
        self.assertIn(b"ModelError: absent", run("classify.py", "absent").stderr)

    def test_a_recording_runs_as_its_events_arrive(self):
        model, micros = camera(), 500
        path = self.folder / "model.safetensors"
        path.write_bytes(model.to_bytes())
        at = np.arange(300)
        # With a pause of several windows.
        t = 20 * at + np.where(at < 100, 7, 3_000)
        x, y, p = at * 7 % 4, at * 5 % 3, at % 5 < 2
        record = np.stack([x, y, (t >> 16) | (p << 7), t >> 8 & 255, t & 255], axis=1)
        recording = record.astype(np.uint8).tobytes()

        session, expected = model.session(), []
        for number, window in enumerate(snn.windows((x, y, t, p), micros), 1):
            best = session.push_events(window).best(1)[0]
            until, count = t[0] + number * micros, len(window[0])
            share = f"{100 * best.probability:5.1f} % {best.name}"
            expected.append(f"{until} us, {count} events: {share}")
        self.assertTrue(len(expected) > 15 and any(" 0 events" in line for line in expected))
        done = run("events.py", path, micros, input=recording)
        self.assertEqual(done.stdout.decode().splitlines(), expected, done.stderr)

        late = run("events.py", path, micros, input=recording + recording[:5])
        self.assertIn(b"an event at 7 us, after the window", late.stderr)
        cut = run("events.py", path, micros, input=recording[:-1])
        self.assertIn(b"the last event is cut: 4 of 5 bytes", cut.stderr)

    @unittest.skipUnless(is_here("ray", "PIL"), "ray and pillow are not installed")
    def test_two_workers_of_ray_classify_pictures_from_disk(self):
        import pyarrow.parquet
        from PIL import Image

        count, pictures, out = 600, self.folder / "pictures", self.folder / "results"
        batch = images(count)
        for index, image in enumerate(batch):
            path = pictures / f"{index % 3}" / f"{index:04}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image.transpose(1, 2, 0)).save(path)
        # Work begins when both workers are there; else the first one may take it all.
        both = {**os.environ, "RAY_DATA_DEFAULT_WAIT_FOR_MIN_ACTORS_S": "600"}
        done = run("ray_batch.py", CIFAR10, pictures, out, 2, cwd=self.folder, env=both)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(f"{count} pictures in ", done.stdout.decode())
        rows = pyarrow.parquet.read_table(out).to_pylist()
        self.assertEqual(len(rows), count)
        rows.sort(key=lambda row: Path(row["path"]).name)
        expected = sums(CIFAR10, batch).argmax(axis=1)
        scores = snn.Model(CIFAR10).run(batch)
        np.testing.assert_array_equal([row["class"] for row in rows], expected)
        np.testing.assert_array_equal(
            [row["probability"] for row in rows], scores.probabilities.max(axis=1)
        )
        classes = snn.Model(CIFAR10).classes
        self.assertEqual([row["name"] for row in rows], [classes[one] for one in expected])
        self.assertEqual(len({row["worker"] for row in rows}), 2, "both workers took batches")


if __name__ == "__main__":
    unittest.main()
