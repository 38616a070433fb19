"""Runs NIR files of this project in other libraries, and theirs in this project.

    pip install -r benches/peers/nir/requirements.txt
    python benches/peers/nir/compare.py --models runs/nir --data DATA

`runs/nir` holds `pool`, `stride` and `dense`, run folders of `networks/*-run.toml` in which
`snn convert RUN --code unary --grid none --out RUN/events.safetensors` left the form `events`. DATA
is the folder of CIFAR-10's binary batches. It needs the examples `export` and `run` of snn-nir and
writes `peers.md` and `peers.json` into `docs/results/nir`. The exit code is 1 if NIR's equations,
which stand in the tables as a library, give other classes than we do.
"""

import argparse
import importlib.metadata
import json
import logging
import pathlib
import platform
import subprocess
import sys
import tempfile
import warnings

import nir
import numpy as np
import torch

import euler
import libraries
import report
import single

ROOT = pathlib.Path(__file__).resolve().parents[3]
# A record of a file of CIFAR-10: a label, then 3×32×32 pixels.
RECORD, SHAPE = 3073, (3, 32, 32)
PACKAGES = ["nir", "nirtorch", "snntorch", "norse", "spikingjelly", "sinabs", "torch", "numpy"]
# Networks and forms with options of the export: sinabs counts time in steps, so that dt is 1.
FILES = [
    ("stride", "events", ["--unit"]),
    ("stride", "events", ["--unit", "--dt", "1"]),
    ("pool", "trained", []),
    ("pool", "events", ["--unit"]),
    ("dense", "events", ["--unit"]),
    ("dense", "events", ["--unit", "--dt", "1"]),
]


class Ours:
    """The examples of snn-nir."""

    def __init__(self, examples, folder):
        self.examples = examples
        self.folder = folder

    def export(self, model, out, options):
        return self.call("export", model, out, *options).strip()

    def run(self, net, pixels, **request):
        raw = self.folder / "pixels.raw"
        raw.write_bytes(np.ascontiguousarray(pixels).tobytes())
        asked = self.folder / "request.json"
        asked.write_text(json.dumps({"pixels": str(raw), "shape": pixels.shape} | request))
        return json.loads(self.call("run", net, asked))

    def call(self, program, *arguments):
        command = [str(self.examples / program), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{program}: {done.stderr.strip()}")
        return done.stdout


def images(data, count):
    raw = np.fromfile(data / "test_batch.bin", np.uint8).reshape(-1, RECORD)
    return raw[:count, 1:].reshape(count, *SHAPE).copy()


def real(pixels, mean, deviation):
    """Pixels as the Input reads them."""
    each = (1, -1, 1, 1)
    values = (pixels - np.reshape(mean, each)) / np.reshape(deviation, each)
    return torch.from_numpy(values.astype(np.float32))


def refusal(error):
    return " ".join(str(error).split())[:160] or type(error).__name__


def ours_elsewhere(ours, models, pixels):
    """Files of ours in each library."""
    tables, answers = [], {}
    for name, form, options in FILES:
        model = models / name / {"trained": "model", "events": "events"}[form]
        model = model.with_suffix(".safetensors")
        path = ours.folder / "net.nir"
        account = ours.export(model, path, options)
        metadata = nir.read(path).metadata
        dt, steps = float(metadata["dt"]), int(metadata["time_steps"])
        answer = answers.get(model) or ours.run(model, pixels)
        answers[model] = answer
        classes = np.argmax(answer["scores"], 1)
        again = ours.run(path, pixels)
        names = [n for n in answer["spikes"] if n in nir.read(path).nodes]
        inputs = real(pixels, metadata["pixel_mean"], metadata["pixel_deviation"])
        inputs = inputs.expand(steps, *inputs.shape)
        rows = [row("this project, the file read back", again["scores"], classes, again, names)]
        for library, run in libraries.of(dt).items():
            try:
                with torch.no_grad():
                    result = run(path, inputs, names, dt)
            except Exception as error:  # Whatever a library raises is its answer.
                rows.append({"library": library, "refused": refusal(error)})
                continue
            sums = {n: float(result.emitted[n].sum()) for n in names if n in result.emitted}
            scores = result.outputs.mean(0).flatten(1).numpy()
            rows.append(row(library, scores, classes, {"spikes": sums}, names))
            if library in euler.CAUSES:
                _, caused = euler.run(nir.read(path), inputs, names, dt, euler.CAUSES[library])
                rows[-1]["from_its_equations"] = {n: float(caused[n].sum()) for n in names}
        spikes = {n: answer["spikes"][n] for n in names}
        tables.append(
            {
                "network": name,
                "form": form,
                "options": " ".join(options),
                "dt": dt,
                "time_steps": steps,
                "account": account,
                "spikes": spikes,
                "rows": rows,
            }
        )
        print(report.network(tables[-1]), flush=True)
    return tables


def row(library, scores, classes, answer, names):
    equal = float((np.argmax(scores, 1) == classes).mean())
    spikes = {name: answer["spikes"].get(name) for name in names}
    return {"library": library, "equal": equal, "spikes": spikes}


def theirs_here(ours, models, pixels):
    """Files of each library, of the trained weights of `dense`, read by this project."""
    path = ours.folder / "dense.nir"
    ours.export(models / "dense" / "events.safetensors", path, [])
    graph = nir.read(path)
    steps = int(graph.metadata["time_steps"])
    mean, deviation = (graph.metadata[f"pixel_{key}"] for key in ("mean", "deviation"))
    inputs = real(pixels, mean, deviation).flatten(1)
    inputs = inputs.expand(steps, *inputs.shape)
    weights = [(graph.nodes[n].weight, graph.nodes[n].bias) for n in ("fc1", "fc2", "fc3")]
    # A flat vector has one channel for each pixel.
    wide = {"mean": mean, "deviation": deviation}
    wide = {key: np.repeat(value, 32 * 32).tolist() for key, value in wide.items()}
    tables = []
    for library, write in libraries.WRITERS.items():
        entry = {"library": library}
        tables.append(entry)
        try:
            with torch.no_grad():
                written = write(weights, inputs)
            file = ours.folder / "theirs.nir"
            # Parameters of one value are scalars, which `nir.write` cannot compress.
            nir.write(file, written.graph, compression=None)
            asked = dict(written.options)
            exponential = asked.pop("discretisation", "euler") == "exponential"
            flat = pixels.reshape(len(pixels), -1)
            answer = ours.run(
                file, flat, time_steps=steps, exponential=exponential, **asked, **wide
            )
        except Exception as error:  # What stops it is the result.
            entry["refused"] = refusal(error)
        else:
            outputs, emitted = written.run
            theirs = outputs.mean(0).argmax(1).numpy()
            entry["read_with"] = written.options
            entry["equal"] = float((np.argmax(answer["scores"], 1) == theirs).mean())
            entry["spikes"] = {
                name: [float(spikes.sum()), answer["spikes"].get(name)]
                for name, spikes in zip(written.names, emitted)
            }
        print(report.written(tables[-1:]), flush=True)
    return tables


def facts(arguments):
    cpu = [line.split(":", 1)[1].strip() for line in cpu_lines() if line.startswith("Model name")]
    cpu = cpu[0] if cpu else platform.machine()
    git = lambda *args: subprocess.run(  # noqa: E731
        ["git", *args], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()
    changed = git("status", "--porcelain", "--", "crates/snn-nir", "benches/peers/nir")
    return {
        "command": "python benches/peers/nir/compare.py --models runs/nir --data DATA"
        + (f" --images {arguments.images}" if arguments.images != 256 else ""),
        "machine": f"{cpu}, threads of torch: {torch.get_num_threads()}",
        "commit": git("rev-parse", "--short=8", "HEAD") + (" with changes" if changed else ""),
        "python": platform.python_version(),
        "versions": {package: importlib.metadata.version(package) for package in PACKAGES},
        "images": arguments.images,
    }


def cpu_lines():
    return subprocess.run(["lscpu"], capture_output=True, text=True, check=True).stdout.splitlines()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=pathlib.Path, required=True)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--examples", type=pathlib.Path, default=ROOT / "target/debug/examples")
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "docs/results/nir")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    pixels = images(arguments.data, arguments.images)
    with tempfile.TemporaryDirectory() as folder:
        ours = Ours(arguments.examples, pathlib.Path(folder))
        found = facts(arguments) | {
            "files": ours_elsewhere(ours, arguments.models, pixels),
            "written": theirs_here(ours, arguments.models, pixels),
            "neurons": single.neurons(ours),
        }
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "peers.json").write_text(json.dumps(found, indent=1) + "\n")
    (arguments.out / "peers.md").write_text(report.page(found))
    own = [row for table in found["files"] for row in table["rows"][:2]]
    return int(any(row.get("equal", 0) < 1 for row in own))


if __name__ == "__main__":
    sys.exit(main())
