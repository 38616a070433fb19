"""Training: the program `snn`, run as a child of this process, and the folders that it writes."""

import importlib.metadata
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections import deque
from pathlib import Path
from typing import Any, Callable, Deque, Dict, Iterator, List, Mapping, Optional, Tuple, Union

import numpy as np

from ._native import SnnError

__all__ = ["Run", "TrainingError", "train"]

PathLike = Union[str, "os.PathLike[str]"]

# The program is built for this release of libtorch, whose C++ interface changes with each.
TORCH = "2.11"
# Exit code of a run that Ctrl-C ended with a checkpoint.
INTERRUPTED = 130
# Seconds between two looks at the metrics.
POLL = 0.2
# Lines of the program's messages that an error quotes.
QUOTED = 20


class TrainingError(SnnError):
    """The program `snn` is missing, or ended with an error."""


class Run:
    """A run folder: what a training wrote, while it goes on or after its end."""

    def __init__(self, folder: PathLike):
        self.folder = Path(folder)
        """The folder."""
        if not self.folder.is_dir():
            raise TrainingError(f"{self.folder}: no run folder")

    @property
    def epochs(self) -> List[Dict[str, Any]]:
        """Metrics of each epoch, as `metrics.jsonl` has them."""
        return _lines(self.folder / "metrics.jsonl")

    @property
    def metrics(self) -> Dict[str, "np.ndarray[Any, np.dtype[np.float64]]"]:
        """Metrics over epochs, arrays of float64 by name: `epoch`, `learning_rate`, `train_loss`,
        `train_accuracy`, `validation_accuracy`, `images_per_second`, `peak_memory_bytes` and what
        else there are numbers of; NaN where an epoch has none. Firing rates are named
        `firing_rates.SITE`."""
        epochs = [dict(_numbers(epoch)) for epoch in self.epochs]
        names = list(dict.fromkeys(name for epoch in epochs for name in epoch))
        return {
            name: np.array([epoch.get(name, float("nan")) for epoch in epochs], np.float64)
            for name in names
        }

    @property
    def result(self) -> Optional[Dict[str, Any]]:
        """What the finished run reached (`result.json`): `test_accuracy`, `test_images`,
        `validation_accuracy`, `wall_seconds` and more. None before its end."""
        path = self.folder / "result.json"
        if not path.exists():
            return None
        found = _json(path, path.read_text(encoding="utf-8"), "")
        return found

    @property
    def test_accuracy(self) -> Optional[float]:
        """Accuracy on the test set, 0 to 1; None before the end of the run."""
        result = self.result
        return None if result is None else float(result["test_accuracy"])

    @property
    def model_path(self) -> Path:
        """The trained model, after the first epoch. `convert` makes of it what a `Model` loads."""
        return self.folder / "model.safetensors"

    @property
    def twin(self) -> Optional["Run"]:
        """The run before this one, of staged training."""
        folder = self.folder / "twin"
        return Run(folder) if folder.is_dir() else None

    def convert(
        self,
        out: PathLike,
        code: str = "unary",
        *,
        grid: str = "int8",
        force: bool = False,
        program: Optional[PathLike] = None,
    ) -> Path:
        """Converts the trained model into the file `out`, which `snn.Model` loads, and returns its
        path; `code` and `grid` are those of `snn convert`."""
        arguments = ["convert", os.fspath(self.folder), "--code", code, "--grid", grid]
        arguments += ["--out", os.fspath(out)] + (["--force"] if force else [])
        command, environment = _program(program), _environment()
        done = subprocess.run(
            [command, *arguments], env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise _failed(command, done.returncode, done.stderr.splitlines())
        return Path(out)

    def __repr__(self) -> str:
        return f"<snn.Run {str(self.folder)!r}>"


def train(
    config: Union[PathLike, Mapping[str, Any]],
    out: PathLike,
    *,
    progress: Optional[Callable[[Dict[str, Any]], object]] = None,
    settings: Optional[Mapping[str, Any]] = None,
    data: Optional[PathLike] = None,
    device: Optional[str] = None,
    resume: bool = False,
    force: bool = False,
    program: Optional[PathLike] = None,
    verbose: Optional[bool] = None,
) -> Run:
    """Trains a network into the folder `out` and returns its `Run`.

    `config` is a TOML file or a mapping of the same keys, `settings` changes single keys of it, as
    `{"epochs": 2, "optimiser.learning_rate": 0.05}`. `data` is the folder of data sets, `device`
    is `cpu` or `cuda:N`. `resume` goes on where a run stopped, to the bit; `force` replaces one.

    `progress` is called after each epoch with its line of `metrics.jsonl`, in which `stage` says
    whose it is: `""` of this run, `"twin"` of its twin. What the program tells is printed on
    stderr if `verbose`, which is the default without `progress`.

    Ctrl-C ends the run with a checkpoint and then raises KeyboardInterrupt; a second one does not
    wait. An error of `progress` ends the run in the same way.

    The program is `program`, else `SNN_PROGRAM`, else `snn` in `PATH`. It uses the libtorch of
    `LIBTORCH`, else that of the PyTorch which this Python has, else its own. A GPU takes one for
    CUDA, as the PyTorch of pip is on Linux.
    """
    command, environment = _program(program), _environment(device)
    with tempfile.TemporaryDirectory() as folder:
        if isinstance(config, Mapping):
            path = Path(folder) / "run.toml"
            lines = [f"{_key(key)} = {_toml(value, key)}\n" for key, value in config.items()]
            path.write_text("".join(lines), encoding="utf-8")
        else:
            path = Path(config)
        arguments = ["train", "--config", os.fspath(path), "--out", os.fspath(out)]
        for key, value in (settings or {}).items():
            arguments += ["--set", f"{key}={_toml(value, key)}"]
        for name, value in (("--data", data), ("--device", device)):
            arguments += [] if value is None else [name, os.fspath(value)]
        arguments += ["--resume"] if resume else []
        arguments += ["--force"] if force else []
        watched = _Watched(Path(out), resume, progress)
        verbose = progress is None if verbose is None else verbose
        _run([command, *arguments], environment, watched, verbose)
    return Run(out)


class _Watched:
    """Epochs of a run folder that were not told yet."""

    def __init__(
        self, folder: Path, resume: bool, progress: Optional[Callable[[Dict[str, Any]], object]]
    ):
        self.folder, self.progress = folder, progress
        # The last epoch of each stage that was told. Of a run that is replaced, or refused, what
        # is there belongs to another one, until its files change.
        self.told: Dict[str, int] = {}
        self.old = {} if resume else {path: _stamp(path) for _, path in self._files()}
        if resume:
            for stage, path in self._files():
                self.told[stage] = max([epoch["epoch"] for epoch in _lines(path)], default=0)

    def _files(self) -> Iterator[Tuple[str, Path]]:
        stage, folder = "", self.folder
        while folder.is_dir():
            yield stage, folder / "metrics.jsonl"
            folder, stage = folder / "twin", f"{stage}/twin".lstrip("/")

    def tell(self) -> None:
        """Tells the epochs that were written since the last call, the innermost twin's first."""
        if self.progress is None:
            return
        for stage, path in reversed(list(self._files())):
            if path in self.old and self.old[path] == _stamp(path):
                continue
            epochs = _lines(path)
            last = max([epoch["epoch"] for epoch in epochs], default=0)
            # A run that was resumed may have gone back to its checkpoint.
            told = self.told[stage] = min(self.told.get(stage, 0), last)
            for epoch in epochs:
                if epoch["epoch"] > told:
                    self.told[stage] = epoch["epoch"]
                    self.progress({"stage": stage, **epoch})


def _stamp(path: Path) -> Optional[Tuple[int, int]]:
    """What changes when a file is written."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino


def _run(
    command: List[str], environment: Dict[str, str], watched: _Watched, verbose: bool
) -> None:
    """Runs the program to its end."""
    # In a session of its own Ctrl-C of a terminal does not reach it twice.
    child = subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
        text=True,
        errors="replace",
    )
    told: Deque[str] = deque(maxlen=QUOTED)

    def listen() -> None:
        assert child.stderr is not None
        for line in child.stderr:
            told.append(line.rstrip("\n"))
            if verbose:
                print(line, end="", file=sys.stderr, flush=True)

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    try:
        while True:
            try:
                child.wait(POLL)
                break
            except subprocess.TimeoutExpired:
                watched.tell()
    except KeyboardInterrupt:
        _stop(child)
        watched.tell()
        raise
    except BaseException:
        # An error of `progress`: the run ends with a checkpoint first, too.
        _stop(child)
        raise
    finally:
        listener.join(timeout=5)
        if child.stderr is not None:
            child.stderr.close()
    if child.returncode == INTERRUPTED:
        raise KeyboardInterrupt("the run was stopped with a checkpoint; resume=True goes on")
    if child.returncode != 0:
        raise _failed(command[0], child.returncode, list(told))
    watched.tell()


def _stop(child: "subprocess.Popen[str]") -> None:
    """Asks the program to end with a checkpoint and waits; a second Ctrl-C asks again, upon which
    it ends at once."""
    child.send_signal(signal.SIGINT)
    try:
        child.wait()
    except KeyboardInterrupt:
        child.send_signal(signal.SIGINT)
        try:
            child.wait(5)
        except (KeyboardInterrupt, subprocess.TimeoutExpired):
            child.kill()
            child.wait()


def _failed(program: str, code: int, told: List[str]) -> TrainingError:
    text = "\n".join(told[-QUOTED:]).strip()
    if code < 0:
        ended = f"was ended by signal {-code}"
    elif code == 127 and "libtorch" in text:
        ended = (
            f"found no libtorch {TORCH}: `pip install torch=={TORCH}.*` puts one into this Python, "
            "LIBTORCH names another"
        )
    else:
        ended = f"ended with code {code}"
    return TrainingError(f"{program} {ended}" + (f": {text}" if text else ""))


def _program(program: Optional[PathLike]) -> str:
    """The program `snn`."""
    named = os.fspath(program) if program is not None else os.environ.get("SNN_PROGRAM")
    found = shutil.which(named if named else "snn")
    if found is None:
        what = f"{named}: no such program" if named else "the program `snn` was not found in PATH"
        raise TrainingError(
            f"{what}; build it in a clone with `cargo build --release -p snn-bench` and name it, "
            "target/release/snn, in SNN_PROGRAM"
        )
    return found


def _environment(device: Optional[str] = None) -> Dict[str, str]:
    """The environment of the program, in which it finds libtorch."""
    environment = dict(os.environ)
    named = environment.get("LIBTORCH")
    folder = Path(named).absolute() if named else _torch()
    if folder is None:
        return environment
    mac = sys.platform == "darwin"
    _put_first(environment, "DYLD_LIBRARY_PATH" if mac else "LD_LIBRARY_PATH", folder / "lib")
    # A program that was linked for the CPU asks for nothing of CUDA by itself.
    cuda = folder / "lib" / "libtorch_cuda.so"
    if device is not None and device.startswith("cuda") and cuda.exists():
        _put_first(environment, "LD_PRELOAD", cuda)
    return environment


def _put_first(environment: Dict[str, str], variable: str, path: Path) -> None:
    before = environment.get(variable)
    environment[variable] = f"{path}{os.pathsep}{before}" if before else str(path)


def _torch() -> Optional[Path]:
    """Folder of the PyTorch that this Python has, which is not imported; None without one."""
    found = importlib.util.find_spec("torch")
    if found is None or not found.submodule_search_locations:
        return None
    try:
        version = importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        return None
    if version.split("+")[0].split(".")[:2] != TORCH.split("."):
        raise TrainingError(
            f"expected PyTorch {TORCH}, for which `snn` is built, found {version}: "
            f"`pip install torch=={TORCH}.*`, or name a libtorch {TORCH} in LIBTORCH"
        )
    return Path(found.submodule_search_locations[0])


def _json(path: Path, text: str, place: str) -> Dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise TrainingError(f"{path}{place}: not JSON: {error}") from None
    if not isinstance(found, dict):
        raise TrainingError(f"{path}{place}: expected a JSON object, found {text[:40]}")
    return found


def _lines(path: Path) -> List[Dict[str, Any]]:
    """The objects of a file of one JSON object a line, which is written whole."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    lines = [
        _json(path, line, f", line {number}")
        for number, line in enumerate(text.splitlines(), 1)
        if line.strip()
    ]
    for number, line in enumerate(lines, 1):
        if not isinstance(line.get("epoch"), int):
            raise TrainingError(f"{path}, line {number}: expected a number `epoch`")
    return lines


def _numbers(values: Mapping[str, Any], prefix: str = "") -> Iterator[Tuple[str, float]]:
    """The numbers of an object by their names; None is NaN."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _numbers(value, f"{prefix}{name}.")
        elif value is None:
            yield prefix + name, float("nan")
        elif isinstance(value, (int, float)):
            yield prefix + name, float(value)


def _key(key: str) -> str:
    bare = key and all(character.isalnum() or character in "-_" for character in key)
    return key if bare and key.isascii() else json.dumps(key, ensure_ascii=False)


def _toml(value: Any, key: str) -> str:
    """A value as TOML has it."""
    if isinstance(value, (bool, np.bool_)):
        return "true" if value else "false"
    if isinstance(value, (int, np.integer)):
        return str(int(value))
    if isinstance(value, (float, np.floating)):
        return repr(float(value))
    if isinstance(value, (str, os.PathLike)):
        # A JSON text is a TOML one but for DEL, which JSON leaves as it is.
        text = json.dumps(os.fspath(value), ensure_ascii=False)
        return text.replace("\x7f", "\\u007f")
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_toml(one, key) for one in value) + "]"
    if isinstance(value, Mapping):
        parts = [f"{_key(name)} = {_toml(one, f'{key}.{name}')}" for name, one in value.items()]
        return "{" + ", ".join(parts) + "}"
    raise TrainingError(f"config: {key}: expected a value that TOML has, found {value!r}")
