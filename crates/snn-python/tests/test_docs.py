"""Samples of the documentation run, and the stubs name what is there."""

import ast
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
from reference import CIFAR10, ROOT, images, sums

CRATE = ROOT / "crates/snn-python"


class Documentation(unittest.TestCase):
    def setUp(self):
        before = os.getcwd()
        self.addCleanup(os.chdir, before)
        os.chdir(ROOT)

    def test_samples_of_docstrings_run(self):
        for module in (snn, snn._results, snn._train):
            result = doctest.testmod(module)
            self.assertEqual(result.failed, 0)
        self.assertGreater(doctest.testmod(snn).attempted, 25)

    def test_every_name_has_a_docstring(self):
        for name in snn.__all__:
            value = getattr(snn, name)
            self.assertTrue(inspect.getdoc(value), name)
            if inspect.isclass(value) and value.__module__.startswith("snn"):
                for member, what in vars(value).items():
                    if not member.startswith("_"):
                        self.assertTrue(inspect.getdoc(what), f"{name}.{member}")

    def test_the_first_sample_of_the_readme_classifies(self):
        code = re.search(r"```python\n(.*?)```", (CRATE / "README.md").read_text(), re.DOTALL)[1]
        batch = images(20)
        expected = sums(CIFAR10, batch).argmax(axis=1)
        labels = expected.copy()
        labels[:5] = (labels[:5] + 1) % 10
        records = np.concatenate([labels[:, None].astype(np.uint8), batch.reshape(20, -1)], axis=1)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "cifar-10-batches-bin"
            path.mkdir()
            records.tofile(path / "test_batch.bin")
            os.symlink(ROOT / "models", Path(folder) / "models")
            os.chdir(folder)
            with contextlib.redirect_stdout(io.StringIO()) as printed:
                exec(compile(code, "README.md", "exec"), {})
            os.chdir(ROOT)
        self.assertEqual(printed.getvalue(), "75.00%\n")

    def test_the_stub_has_the_names_of_the_module(self):
        stub = ast.parse((CRATE / "python/snn/_native.pyi").read_text())
        classes = {node.name: node for node in stub.body if isinstance(node, ast.ClassDef)}
        functions = {node.name for node in stub.body if isinstance(node, ast.FunctionDef)}
        functions.discard("_restored")
        here = {name for name in vars(snn._native) if not name.startswith("_")}
        self.assertEqual(here, set(classes) | functions)
        for name, node in classes.items():
            members = {one.name for one in node.body if isinstance(one, ast.FunctionDef)}
            public = {one for one in members if not one.startswith("_")}
            found = {one for one in vars(getattr(snn._native, name)) if not one.startswith("_")}
            self.assertEqual(public, found, name)


if __name__ == "__main__":
    unittest.main()
