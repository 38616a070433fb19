"""`snn.train` on a program that stands in for `snn`: see `program.py`."""

import contextlib
import io
import json
import os
import signal
import stat
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path
from unittest import mock

import numpy as np
import snn
from reference import CIFAR10
from snn import _train


class Training(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.out = self.folder / "run"
        program = self.folder / "snn"
        script = Path(__file__).with_name("program.py")
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{script}" "$@"\n')
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        variables = {"SNN_PROGRAM": str(program), "FAKE_SNN": "", "FAKE_MODEL": str(CIFAR10)}
        patched = mock.patch.dict(os.environ, variables)
        patched.start()
        self.addCleanup(patched.stop)
        self.config = self.folder / "config.toml"
        self.config.write_text("epochs = 3\n")

    def test_a_run_tells_its_epochs_and_has_its_metrics(self):
        told = []
        settings = {"epochs": 3, "optimiser.learning_rate": 0.05, "policy": "outer"}
        run = snn.train(
            self.config, self.out, progress=told.append, settings=settings, data="sets",
            device="cpu",
        )
        stages = [(one["stage"], one["epoch"]) for one in told]
        self.assertEqual(stages, [("", 1), ("", 2), ("", 3)])
        self.assertEqual(run.result, {"test_accuracy": 0.75, "test_images": 10})
        self.assertEqual((run.test_accuracy, run.twin), (0.75, None))
        metrics = run.metrics
        np.testing.assert_array_equal(metrics["epoch"], [1, 2, 3])
        np.testing.assert_array_equal(metrics["train_loss"], [1, 1 / 2, 1 / 3])
        np.testing.assert_array_equal(metrics["validation_accuracy"], [np.nan, 0.52, 0.53])
        np.testing.assert_array_equal(metrics["firing_rates.act"], [0.1, 0.2, 0.3])
        arguments = json.loads((self.out / "arguments.json").read_text())
        expected = ["train", "--config", str(self.config), "--out", str(self.out)]
        expected += ["--set", "epochs=3", "--set", "optimiser.learning_rate=0.05"]
        expected += ["--set", 'policy="outer"', "--data", "sets", "--device", "cpu"]
        self.assertEqual(arguments, expected)

    def test_the_epochs_of_a_twin_come_first_and_are_named(self):
        told = []
        with mock.patch.dict(os.environ, FAKE_TWIN="1"):
            run = snn.train(self.config, self.out, progress=told.append)
        stages = [(one["stage"], one["epoch"]) for one in told]
        self.assertEqual(stages, [("twin", 1), ("", 1), ("", 2), ("", 3)])
        self.assertEqual(len(run.twin.epochs), 1)

    def test_a_mapping_is_a_config(self):
        config = {
            "epochs": 3,
            "policy": "outer",
            "network": {"kind": "file", "path": Path('a "b"\\c.json')},
            "gradient_clip": 1e-5,
            "data": {"dataset": "shapes10", "flip": True, "size": [32, 32]},
            "odd key": 'tab\there \x7f é😀',
        }
        snn.train(config, self.out, verbose=False)
        written = (self.out / "config.toml").read_text(encoding="utf-8")
        try:
            import tomllib
        except ImportError:
            self.assertIn('network = {kind = "file", path = "a \\"b\\"\\\\c.json"}', written)
            return
        config["network"] = {"kind": "file", "path": 'a "b"\\c.json'}
        self.assertEqual(tomllib.loads(written), config)
        with self.assertRaisesRegex(snn.TrainingError, "config: data.seed: expected a value"):
            snn.train({"data": {"seed": None}}, self.out)

    def test_an_error_of_the_program_is_an_exception_with_its_words(self):
        with mock.patch.dict(os.environ, FAKE_SNN="fail"):
            with self.assertRaisesRegex(snn.TrainingError, "code 2: (?s:.*)must be at least 1"):
                snn.train(self.config, self.out, progress=lambda _: None)

    def test_what_the_program_tells_is_printed_where_nobody_listens(self):
        with contextlib.redirect_stderr(io.StringIO()) as told:
            snn.train(self.config, self.out)
        self.assertIn("epoch 3", told.getvalue())
        with contextlib.redirect_stderr(io.StringIO()) as told:
            snn.train(self.config, self.out, verbose=False)
        self.assertEqual(told.getvalue(), "")

    def interrupted(self):
        def press():
            while not any(self.out.glob("metrics.jsonl")) or len(snn.Run(self.out).epochs) < 2:
                time.sleep(0.02)
            os.kill(os.getpid(), signal.SIGINT)

        with mock.patch.dict(os.environ, FAKE_SNN="slow"):
            thread = threading.Thread(target=press)
            thread.start()
            started = time.monotonic()
            with self.assertRaises(KeyboardInterrupt):
                snn.train(self.config, self.out, verbose=False)
            thread.join()
        self.assertLess(time.monotonic() - started, 30)

    def test_ctrl_c_ends_the_run_with_a_checkpoint_and_it_is_resumed(self):
        self.interrupted()
        self.assertTrue((self.out / "checkpoint.safetensors").exists())
        self.assertIsNone(snn.Run(self.out).test_accuracy)
        told = []
        run = snn.train(self.config, self.out, resume=True, progress=told.append)
        self.assertEqual([one["epoch"] for one in told], [3], "what was told before is not again")
        self.assertEqual(run.test_accuracy, 0.75)

    def test_a_run_that_is_replaced_is_told_from_its_begin(self):
        snn.train(self.config, self.out, verbose=False)
        told = []
        snn.train(self.config, self.out, force=True, progress=told.append)
        self.assertEqual([one["epoch"] for one in told], [1, 2, 3])

    def test_an_error_of_the_callback_ends_the_run_with_a_checkpoint(self):
        def progress(epoch):
            if epoch["epoch"] == 2:
                raise ValueError("enough")

        with mock.patch.dict(os.environ, FAKE_SNN="slow"):
            with self.assertRaisesRegex(ValueError, "enough"):
                snn.train(self.config, self.out, progress=progress)
        self.assertTrue((self.out / "checkpoint.safetensors").exists())

    def test_a_converted_run_is_a_model(self):
        run = snn.train(self.config, self.out, verbose=False)
        model = snn.Model(run.convert(self.folder / "unary.safetensors"))
        self.assertEqual(model.class_count, 10)

    def test_no_program_and_no_folder_are_errors_that_say_what_to_do(self):
        with mock.patch.dict(os.environ, SNN_PROGRAM="absent"):
            with self.assertRaisesRegex(snn.TrainingError, "absent: no such program; build it"):
                snn.train(self.config, self.out)
        with mock.patch.dict(os.environ, SNN_PROGRAM="", PATH=str(self.folder / "none")):
            with self.assertRaisesRegex(snn.TrainingError, "not found in PATH; build it"):
                snn.train(self.config, self.out)
        with self.assertRaisesRegex(snn.TrainingError, "no run folder"):
            snn.Run(self.folder / "none")
        self.out.mkdir()
        (self.out / "metrics.jsonl").write_text('{"epoch": 1}\nnot JSON\n')
        with self.assertRaisesRegex(snn.TrainingError, "metrics.jsonl, line 2: not JSON"):
            snn.Run(self.out).metrics


class Libtorch(unittest.TestCase):
    """Which libtorch the program is given."""

    def torch(self, version):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        root = Path(folder.name)
        (root / "torch" / "lib").mkdir(parents=True)
        (root / "torch" / "__init__.py").write_text("raise RuntimeError('imported')\n")
        about = root / f"torch-{version}.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Name: torch\nVersion: {version}\n")
        patched = mock.patch.object(sys, "path", [str(root), *sys.path])
        patched.start()
        self.addCleanup(patched.stop)
        return root / "torch"

    def environment(self, device=None, **variables):
        before = {"LD_LIBRARY_PATH": "/before", "LIBTORCH": "", **variables}
        with mock.patch.dict(os.environ, before):
            return _train._environment(device)

    @unittest.skipUnless(sys.platform == "linux", "another variable names the folders there")
    def test_the_torch_of_this_python_is_found_and_not_imported(self):
        torch = self.torch("2.11.0+cpu")
        found = self.environment()["LD_LIBRARY_PATH"]
        self.assertEqual(found, f"{torch / 'lib'}:/before")
        own = self.environment(LIBTORCH="/own")["LD_LIBRARY_PATH"]
        self.assertEqual(own, f"{Path('/own/lib')}:/before")

    @unittest.skipUnless(sys.platform == "linux", "libraries of CUDA are loaded so on Linux only")
    def test_a_gpu_takes_the_library_of_cuda_where_torch_has_one(self):
        cuda = self.torch("2.11.0") / "lib" / "libtorch_cuda.so"
        before = os.environ.get("LD_PRELOAD")
        self.assertEqual(self.environment("cuda:0").get("LD_PRELOAD"), before, "one for the CPU")
        cuda.touch()
        self.assertEqual(self.environment("cpu").get("LD_PRELOAD"), before)
        self.assertEqual(self.environment().get("LD_PRELOAD"), before)
        found = self.environment("cuda:1", LD_PRELOAD="other.so")["LD_PRELOAD"]
        self.assertEqual(found, f"{cuda}:other.so")

    def test_another_release_of_torch_is_refused(self):
        self.torch("2.3.1")
        with self.assertRaisesRegex(snn.TrainingError, "expected PyTorch 2.11.* found 2.3.1"):
            self.environment()
        self.assertIn("/own", self.environment(LIBTORCH="/own")["LD_LIBRARY_PATH"])


if __name__ == "__main__":
    unittest.main()
