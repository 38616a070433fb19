"""Stands in for the program `snn` in tests of `snn.train`: writes a run folder, epoch by epoch.

What it does is said by FAKE_SNN: `fail`, `stopped`, or nothing.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

stopped = []
signal.signal(signal.SIGINT, lambda *_: stopped.append(1))
arguments = sys.argv[1:]
value = {name: arguments[at + 1] for at, name in enumerate(arguments) if name.startswith("--")
         and at + 1 < len(arguments)}
out = Path(value["--out"])
how = os.environ.get("FAKE_SNN", "")

if arguments[0] == "convert":
    out.write_bytes(Path(os.environ["FAKE_MODEL"]).read_bytes())
    sys.exit(0)

out.mkdir(parents=True, exist_ok=True)
(out / "arguments.json").write_text(json.dumps(arguments))
(out / "config.toml").write_text(Path(value["--config"]).read_text())
library = os.environ.get("LD_LIBRARY_PATH", "")
(out / "library.txt").write_text(library)
print("stage 1 of 1", file=sys.stderr, flush=True)
if how == "fail":
    print("error: epochs: must be at least 1, found 0", file=sys.stderr)
    sys.exit(2)


def write(folder, epochs):
    """As the program does: a file is there whole or not at all."""
    folder.mkdir(exist_ok=True)
    new = folder / "metrics.new"
    new.write_text("".join(json.dumps(epoch) + "\n" for epoch in epochs))
    new.rename(folder / "metrics.jsonl")


def epoch(number):
    accuracy = None if number == 1 else 0.5 + number / 100
    rates = {"act": number / 10}
    return {"epoch": number, "learning_rate": 0.1, "train_loss": 1 / number,
            "train_accuracy": 0.5, "validation_accuracy": accuracy, "firing_rates": rates,
            "averaged": False, "images_per_second": 100.0, "peak_memory_bytes": 2**20}


path = out / "metrics.jsonl"
done = []
if "--resume" in arguments:
    done = [json.loads(line) for line in path.read_text().splitlines()]
if os.environ.get("FAKE_TWIN"):
    write(out / "twin", [epoch(1)])
    time.sleep(0.5)
for number in range(len(done) + 1, 4):
    done.append(epoch(number))
    write(out, done)
    print(f"epoch {number}", file=sys.stderr, flush=True)
    ends = time.monotonic() + (60 if how == "slow" and number == 2 else 0.3)
    while time.monotonic() < ends:
        if stopped:
            (out / "checkpoint.safetensors").write_text("a checkpoint")
            sys.exit(130)
        time.sleep(0.02)
(out / "result.json").write_text(json.dumps({"test_accuracy": 0.75, "test_images": 10}))
