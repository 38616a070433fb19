"""What the sides of `cargo xtask bench-peers infer` share: the trained weights, the images, the
network's shape, and taking turns."""

import json
import pathlib
import sys
import time

import numpy as np
import torch
from torch import nn

LIF = {
    "kind": "lif",
    "leak": {"kind": "factor", "factor": 0.5},
    "threshold": 1.0,
    "reset": {"kind": "hard", "potential": 0.0},
}
TYPES = {"F32": np.float32}


class Trained:
    """A trained model file: its weights by name, and how it reads pixels. Only networks of the
    neuron that the peers are given are taken."""

    def __init__(self, path):
        with open(path, "rb") as file:
            header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
            body = file.read()
        model = json.loads(header.pop("__metadata__")["snn"])
        if model["form"]["kind"] != "trained":
            sys.exit(f"{path}: expected a trained model, found form {model['form']['kind']}")
        for node in model["graph"]["nodes"]:
            site = node["op"].get("site")
            if site is not None and {key: site.get(key) for key in LIF} != LIF:
                sys.exit(f"{path}: expected {LIF} at `{node['name']}`, found {site}")
        self.path, self.time_steps, self.preprocessing = (
            path,
            model["time_steps"],
            model["preprocessing"],
        )
        self.weights = {}
        for name, entry in header.items():
            begin, end = entry["data_offsets"]
            self.weights[name] = np.frombuffer(body[begin:end], TYPES[entry["dtype"]]).reshape(
                entry["shape"]
            )

    def stages(self):
        """Blocks of each stage, from the names of the weights."""
        blocks = {
            name.split(".conv1.")[0].removeprefix("layer")
            for name in self.weights
            if ".conv1." in name
        }
        stages = [block.split(".")[0] for block in blocks]
        return [stages.count(str(stage + 1)) for stage in range(len(set(stages)))]

    def load(self, network):
        """Gives a network these weights, all of them and no others."""
        weights = {name: torch.from_numpy(array.copy()) for name, array in self.weights.items()}
        found = network.load_state_dict(weights, strict=False)
        missing = [name for name in found.missing_keys if not name.endswith("num_batches_tracked")]
        if missing or found.unexpected_keys:
            sys.exit(
                f"{self.path}: the networks differ: {missing} are missing, "
                f"{found.unexpected_keys} are not in it"
            )

    def images(self, folder, count):
        """The first test images of CIFAR-100 as the network reads them."""
        path = pathlib.Path(folder) / "test.bin"
        records = np.fromfile(path, np.uint8, count * 3074).reshape(-1, 3074)
        if len(records) < count:
            sys.exit(f"{path}: expected {count} images, found {len(records)}")
        mean, deviation = (
            np.array(self.preprocessing[key], np.float32).reshape(1, 3, 1, 1)
            for key in ("mean", "std")
        )
        return (records[:, 2:].reshape(-1, 3, 32, 32).astype(np.float32) - mean) / deviation


class Block(nn.Module):
    def __init__(self, make, inputs, outputs, stride):
        super().__init__()
        self.conv1, self.bn1, self.act1 = (
            make.convolution(inputs, outputs, 3, stride),
            make.norm(outputs),
            make.activation(),
        )
        self.conv2, self.bn2, self.act2 = (
            make.convolution(outputs, outputs, 3, 1),
            make.norm(outputs),
            make.activation(),
        )
        if stride == 1 and inputs == outputs:
            self.shortcut = nn.Identity()
        else:
            self.shortcut = nn.Sequential()
            self.shortcut.add_module("conv", make.convolution(inputs, outputs, 1, stride))
            self.shortcut.add_module("bn", make.norm(outputs))

    def forward(self, x):
        y = self.act1(self.bn1(self.conv1(x)))
        return self.act2(self.bn2(self.conv2(y)) + self.shortcut(x))


class ResNet(nn.Module):
    """A ResNet for small images whose layers `make` makes, with the names of the trained file."""

    def __init__(self, make, trained):
        super().__init__()
        width, classes = (
            trained.weights["stem.conv.weight"].shape[0],
            trained.weights["fc.weight"].shape[0],
        )
        self.stem = nn.Sequential()
        for name, module in (
            ("conv", make.convolution(3, width, 3, 1)),
            ("bn", make.norm(width)),
            ("act", make.activation()),
        ):
            self.stem.add_module(name, module)
        inputs, self.stages = width, []
        for stage, blocks in enumerate(trained.stages()):
            outputs, layer = width << stage, nn.Sequential()
            for block in range(blocks):
                layer.append(Block(make, inputs, outputs, 2 if stage > 0 and block == 0 else 1))
                inputs = outputs
            self.stages.append(f"layer{stage + 1}")
            self.add_module(self.stages[-1], layer)
        self.pool, self.flatten, self.fc = make.pool(), make.flatten(), make.linear(inputs, classes)

    def forward(self, x):
        x = self.stem(x)
        for stage in self.stages:
            x = getattr(self, stage)(x)
        return self.fc(self.flatten(self.pool(x)))


def serve(images, batch, classify, extra=None):
    """Classifies all images once, which warms everything up, says so, and then measures as often as
    it is asked to: seconds of each batch, or of each image."""
    batches = [images[begin : begin + batch] for begin in range(0, len(images), batch)]
    classes = [int(number) for part in batches for number in classify(part)]
    singles = [images[index : index + 1] for index in range(len(images))]
    for _ in range(3):
        classify(singles[0])
    turns = {"batch": (batches, 0), "single": (singles, 0)}
    print(json.dumps({"classes": classes, **(extra or {})}), flush=True)
    for line in sys.stdin:
        what, budget = line.split()
        inputs, at = turns[what]
        seconds, start = [], time.perf_counter()
        while not seconds or time.perf_counter() - start < float(budget):
            begun = time.perf_counter()
            classify(inputs[at % len(inputs)])
            seconds.append(time.perf_counter() - begun)
            at += 1
        turns[what] = (inputs, at)
        print(json.dumps({"seconds": seconds}), flush=True)
