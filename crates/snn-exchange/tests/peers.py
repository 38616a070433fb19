"""Runs networks that snn-exchange wrote, in torch and onnxruntime.

    python peers.py FOLDER

Each folder in FOLDER has a network: `model.py` with its weights, or `network.onnx`, or both, and
`pixels.npy`. Prints one line of JSON: for each folder the scores of each that is there.
"""

import importlib.util
import json
import sys
from pathlib import Path

import numpy
import onnxruntime
import torch
from safetensors.torch import load_file


def torch_scores(folder, pixels):
    spec = importlib.util.spec_from_file_location("model", folder / "model.py")
    model = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(model)
    channels, *positions = model.SHAPE
    height, width = [1, 1, *positions][-2:]
    lead = pixels.ndim - len(model.SHAPE)
    before = [1] * (2 - lead) + list(pixels.shape[:lead])
    frames = torch.from_numpy(pixels).reshape(*before, channels, height, width)
    with torch.no_grad():
        return model.run(load_file(folder / "weights.safetensors"), frames).tolist()


def onnx_scores(folder, pixels):
    session = onnxruntime.InferenceSession(folder / "network.onnx")
    values = session.run(None, {session.get_inputs()[0].name: pixels})
    return [value.tolist() for value in values]


def main():
    results = {}
    for folder in sorted(Path(sys.argv[1]).iterdir()):
        pixels = numpy.load(folder / "pixels.npy")
        result = results[folder.name] = {}
        if (folder / "model.py").exists():
            result["torch"] = torch_scores(folder, pixels)
        if (folder / "network.onnx").exists():
            result["onnx"] = onnx_scores(folder, pixels)
    print(json.dumps(results))


if __name__ == "__main__":
    main()
