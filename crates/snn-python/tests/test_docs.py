"""Samples of the documentation run."""

import contextlib
import doctest
import inspect
import io
import os
import re
import tempfile
import unittest
from pathlib import Path

import numpy as np
import snn
import test_train_for_real
from camera import model as camera
from reference import CIFAR10, ROOT, images, sums

CRATE = ROOT / "crates/snn-python"


class Documentation(unittest.TestCase):
    def setUp(self):
        before = os.getcwd()
        self.addCleanup(os.chdir, before)
        os.chdir(ROOT)

    def test_samples_of_docstrings_run(self):
        for module in (snn, snn._results, snn._train):
            result = doctest.testmod(module, verbose=False)
            self.assertEqual(result.failed, 0)
        self.assertGreater(doctest.testmod(snn, verbose=False).attempted, 25)

    def test_every_name_has_a_docstring(self):
        for name in snn.__all__:
            value = getattr(snn, name)
            self.assertTrue(inspect.getdoc(value), name)
            if inspect.isclass(value) and value.__module__.startswith("snn"):
                for member, what in vars(value).items():
                    if not member.startswith("_"):
                        self.assertTrue(inspect.getdoc(what), f"{name}.{member}")

    def run_samples(self, page, which=lambda code: True):
        """What the samples of a page print, run one after the other in a folder with a data set
        of which 15 of 20 labels are what the network says, and the names that they leave."""
        kept = tempfile.TemporaryDirectory()
        self.addCleanup(kept.cleanup)
        folder = Path(kept.name)
        code = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
        batch = images(20)
        labels = sums(CIFAR10, batch).argmax(axis=1).astype(np.uint8)
        labels[:5] = (labels[:5] + 1) % 10
        records = np.concatenate([labels[:, None], batch.reshape(20, -1)], axis=1)
        data = folder / "datasets/cifar-10-batches-bin"
        data.mkdir(parents=True)
        records.tofile(data / "test_batch.bin")
        for name in ("models", "configs"):
            (folder / name).symlink_to(ROOT / name)
        os.chdir(folder)
        names = {}
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            for part in filter(which, code):
                exec(compile(part, str(page), "exec"), names)
        return printed.getvalue(), names

    def test_the_sample_of_the_readme_classifies(self):
        page = CRATE / "README.md"
        printed, _ = self.run_samples(page, lambda code: "snn.train" not in code)
        self.assertEqual(printed, "75.00%\n")

    def test_the_samples_of_the_book_run(self):
        page = ROOT / "docs/book/src/python.md"
        reason = test_train_for_real.why_not()
        printed, names = self.run_samples(page, lambda code: not (reason and "snn.train" in code))
        lines = printed.splitlines()
        self.assertEqual(lines[0], "75.00%")
        sites = [node for node in names["counts"].nodes if node.neurons]
        self.assertEqual(len([line for line in lines if "of its neurons fire" in line]), len(sites))
        self.assertGreater(names["slowest"].nanoseconds, 0)
        events = (np.zeros(4, int), np.zeros(4, int), np.array([1, 2, 50, 80]), np.ones(4, bool))
        best = list(names["watch"](camera(), events, micros=10))
        self.assertEqual(len(best), 8)
        self.assertIn(best[0].name, camera().classes)
        if reason:
            self.skipTest(f"all but the sample that trains, {reason}")
        self.assertEqual(len(names["run"].epochs), 2)
        self.assertEqual(names["model"].class_count, 10)


if __name__ == "__main__":
    unittest.main()
