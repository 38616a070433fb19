"""Builds the wheel, installs it into a new virtual environment and runs its tests there:

    python3 crates/snn-python/tests/run.py [--release] [PACKAGE...]

PACKAGE is what pip installs beside it, for tests that else say that they are skipped: `ray[data]`
and `pillow` for the example of Ray, `torch==2.11.*` for training with the libtorch of PyTorch.
Training for real needs the program `snn`, which is taken where cargo has built it or SNN_PROGRAM
names it. The environment and all that is built are in cargo's target folder.
"""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

CRATE = Path(__file__).resolve().parents[1]
ROOT = CRATE.parents[1]
# What builds the wheel, what it needs, and what checks its types.
PACKAGES = ["maturin>=1.9,<2", "numpy>=1.23", "mypy>=1.15"]


def skipped(reason):
    print(f"skipped: {reason}")
    sys.exit(0)


def run(*command, **options):
    """Runs a command, whose failure is ours."""
    done = subprocess.run([str(part) for part in command], cwd=ROOT, check=False, **options)
    if done.returncode != 0:
        sys.exit(f"failed with code {done.returncode}: {' '.join(map(str, command))}")
    return done


def environment(folder, packages):
    """The Python of a new virtual environment with the packages, and its pip."""
    if sys.version_info < (3, 10):
        skipped(f"Python 3.10 or later is needed, this is {sys.version.split()[0]}")
    # Debian has both in a package of their own.
    if not all(importlib.util.find_spec(module) for module in ("venv", "ensurepip")):
        skipped("this Python makes no virtual environments: it has no venv or no ensurepip")
    run(sys.executable, "-m", "venv", "--clear", folder)
    python = folder / "bin" / "python"
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run(*install, *packages)
    return python, install


def target_folder():
    metadata = ["cargo", "metadata", "--format-version=1", "--no-deps"]
    return Path(json.loads(run(*metadata, stdout=subprocess.PIPE).stdout)["target_directory"])


def variables(built):
    """Where the tests find what cargo built: the C interface, whose bits the wheel must have, and
    the program `snn`, if it is there."""
    found = {**os.environ, "SNN_LIBRARY": str(built / "libsnn.so")}
    if "SNN_PROGRAM" not in found and (built / "snn").exists():
        found["SNN_PROGRAM"] = str(built / "snn")
    if "LIBTORCH" not in found and (ROOT / ".libtorch").exists():
        found["LIBTORCH"] = str(ROOT / ".libtorch")
    return found


def main():
    packages = [argument for argument in sys.argv[1:] if argument != "--release"]
    release = ["--release"] if "--release" in sys.argv[1:] else []
    target = target_folder()
    built = target / ("release" if release else "debug")
    folder = target / "python-tests"
    folder.mkdir(parents=True, exist_ok=True)
    python, install = environment(folder / "venv", [*PACKAGES, *packages])

    wheels = Path(tempfile.mkdtemp(dir=folder))
    maturin = [python, "-m", "maturin", "build", "--quiet", "--interpreter", python]
    run(*maturin, "--manifest-path", CRATE / "Cargo.toml", "--out", wheels, *release)
    run(*install, "--no-deps", *wheels.glob("*.whl"))
    shutil.rmtree(wheels)
    run("cargo", "build", "--quiet", "--package", "snn-capi", *release)

    # The stubs against the module, and programs against the stubs.
    mypy = [python, "-m", "mypy", "--strict", "--cache-dir", folder / "mypy"]
    run(python, "-m", "mypy.stubtest", "snn")
    run(*mypy, "--package", "snn")
    run(*mypy, CRATE / "tests/typed.py")
    tests = ["-m", "unittest", "discover", "--start-directory", CRATE / "tests", "--verbose"]
    run(python, *tests, env=variables(built))


if __name__ == "__main__":
    main()
