"""`snn.train` with the program `snn` and a libtorch: see `run.py` for where they are from."""

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import numpy as np
import snn
from reference import ROOT
from snn import _train

# An epoch takes less than a second on a fast machine, and a few on a slow one.
SETTINGS = {"data.limit": 1000, "data.test_limit": 200, "network.width": 6}
CONFIG = ROOT / "configs/demo.toml"


def why_not():
    """Why the program cannot run here; None if it can."""
    try:
        program = _train._program(None)
        environment = _train._environment()
    except snn.TrainingError as error:
        return str(error)
    done = subprocess.run([program, "--version"], env=environment, capture_output=True, text=True)
    return None if done.returncode == 0 else f"{program}: {done.stderr.strip()}"


class Training(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        reason = why_not()
        if reason:
            raise unittest.SkipTest(reason)

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def train(self, out, epochs, **options):
        settings = {**SETTINGS, "epochs": epochs}
        return snn.train(CONFIG, self.folder / out, settings=settings, **options)

    def stopped(self, epochs):
        """The epochs that are told of a run which Ctrl-C stops at the first one that is."""
        told = []

        def progress(epoch):
            told.append(epoch["epoch"])
            if len(told) == 1:
                signal.raise_signal(signal.SIGINT)

        with self.assertRaises(KeyboardInterrupt):
            self.train("stopped", epochs, progress=progress, force=True)
        return told

    def test_a_run_that_ctrl_c_stopped_ends_as_one_that_was_not(self):
        # Epochs are told a few times a second: on a fast machine a short run has ended by then.
        for epochs in (3, 12, 48):
            told = self.stopped(epochs)
            if snn.Run(self.folder / "stopped").test_accuracy is None:
                break
        else:
            self.fail("the longest run ended before its first epoch was told")

        stopped = self.train("stopped", epochs, progress=lambda e: told.append(e["epoch"]),
                             resume=True)
        every = list(range(1, epochs + 1))
        self.assertEqual(told, every)
        whole = self.train("whole", epochs, verbose=False)
        self.assertEqual(stopped.model_path.read_bytes(), whole.model_path.read_bytes())
        self.assertEqual(stopped.test_accuracy, whole.test_accuracy)
        np.testing.assert_array_equal(whole.metrics["epoch"], every)
        np.testing.assert_array_equal(stopped.metrics["train_loss"], whole.metrics["train_loss"])
        first, *_, last = whole.metrics["train_loss"]
        self.assertLess(last, first, "it learned")

        model = snn.Model(whole.convert(self.folder / "unary.safetensors"))
        self.assertEqual((model.form, model.class_count), ("grid", 10))
        image = np.zeros(model.input_shape, np.uint8)
        self.assertEqual(model.classify(image), model.session().run(image).argmax)

    def test_an_error_of_the_program_is_an_exception_with_its_words(self):
        with self.assertRaisesRegex(snn.TrainingError, "epochs"):
            snn.train(CONFIG, self.folder / "wrong", settings={"epochs": 0}, verbose=False)
        with self.assertRaisesRegex(snn.TrainingError, "epochz"):
            snn.train({"epochz": 1}, self.folder / "wrong", verbose=False)

    def test_libtorch_is_that_of_the_torch_which_this_python_has(self):
        # A program far from where cargo built it finds none by itself.
        program = self.folder / "bin" / "snn"
        program.parent.mkdir()
        shutil.copy2(_train._program(None), program)
        small = {"dataset": "shapes10", "held_out": 100, "limit": 200, "test_limit": 100}
        config = {"epochs": 1, "network": {"kind": "small", "width": 4}, "data": small}
        libtorch, packages = os.environ.get("LIBTORCH"), self.folder / "packages"

        def train():
            return snn.train(config, self.folder / "run", program=program, verbose=False)

        with mock.patch.dict(os.environ, LIBTORCH="", LD_LIBRARY_PATH=""):
            if importlib.util.find_spec("torch") is None:
                with self.assertRaisesRegex(snn.TrainingError, "pip install torch==2.11"):
                    train()
                if not libtorch:
                    self.skipTest("neither torch is installed nor LIBTORCH set")
                # As pip puts it there.
                about = packages / "torch-2.11.0.dist-info"
                about.mkdir(parents=True)
                (about / "METADATA").write_text("Name: torch\nVersion: 2.11.0\n")
                (packages / "torch").mkdir()
                (packages / "torch" / "__init__.py").write_text("raise RuntimeError('imported')\n")
                (packages / "torch" / "lib").symlink_to(Path(libtorch).resolve() / "lib")
            with mock.patch.object(sys, "path", [str(packages), *sys.path]):
                run = train()
        self.assertEqual(len(run.epochs), 1)
        self.assertIsNotNone(run.test_accuracy)


if __name__ == "__main__":
    unittest.main()
