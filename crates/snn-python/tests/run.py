"""Builds the wheel, installs it into a new virtual environment and runs its tests:

    python3 crates/snn-python/tests/run.py [--release]

It says so and ends well where Python cannot make an environment or pip finds no packages. The
environment and what cargo builds are in the target folder of cargo.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

CRATE = Path(__file__).resolve().parents[1]
ROOT = CRATE.parents[1]
# What builds the wheel, and what it needs.
PACKAGES = ["maturin>=1.9,<2", "numpy>=1.23"]


def skipped(reason):
    print(f"skipped: {reason}")
    sys.exit(0)


def run(*command, **options):
    """Runs a command, whose failure is ours."""
    done = subprocess.run([str(part) for part in command], cwd=ROOT, check=False, **options)
    if done.returncode != 0:
        sys.exit(f"failed with code {done.returncode}: {' '.join(map(str, command))}")
    return done


def environment(folder):
    """The Python of a virtual environment with the packages."""
    if sys.version_info < (3, 10):
        skipped(f"Python 3.10 or later is needed, this is {sys.version.split()[0]}")
    made = subprocess.run(
        [sys.executable, "-m", "venv", "--clear", folder], capture_output=True, text=True
    )
    if made.returncode != 0:
        skipped(f"Python makes no virtual environment: {(made.stdout + made.stderr).strip()}")
    python = folder / "bin" / "python"
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    got = subprocess.run([*install, *PACKAGES], capture_output=True, text=True)
    if got.returncode != 0:
        lines = got.stderr.strip().splitlines() or ["no message"]
        skipped(f"pip cannot install {' and '.join(PACKAGES)}: {lines[-1]}")
    return python, install


def main():
    release = ["--release"] if "--release" in sys.argv[1:] else []
    metadata = run(
        "cargo", "metadata", "--format-version=1", "--no-deps", stdout=subprocess.PIPE
    ).stdout
    target = Path(json.loads(metadata)["target_directory"])
    folder = target / "python-tests"
    folder.mkdir(parents=True, exist_ok=True)
    python, install = environment(folder / "venv")

    wheels = Path(tempfile.mkdtemp(dir=folder))
    maturin = [python, "-m", "maturin", "build", "--quiet", "--interpreter", python]
    run(*maturin, "--manifest-path", CRATE / "Cargo.toml", "--out", wheels, *release)
    run(*install, "--no-deps", *wheels.glob("*.whl"))
    shutil.rmtree(wheels)
    # The C interface, whose bits the wheel must have.
    run("cargo", "build", "--quiet", "--package", "snn-capi", *release)
    library = target / ("release" if release else "debug") / "libsnn.so"

    variables = {**os.environ, "SNN_LIBRARY": str(library)}
    tests = ["-m", "unittest", "discover", "--start-directory", CRATE / "tests", "--verbose"]
    run(python, *tests, env=variables)


if __name__ == "__main__":
    main()
