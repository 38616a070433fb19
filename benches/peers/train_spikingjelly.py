"""One side of `cargo xtask bench-peers train`: the same network and step in SpikingJelly.

usage: train_spikingjelly.py SETTING T BATCH THREADS

SETTING joins any of channels_last, bf16, compile and memopt with "+", or is `default`: how the
library's users write it, single precision, channels first. `memopt` recomputes every block in the
backward pass from inputs that are kept as bits (its level 1; the others need CUDA).
ResNet-20 for 32x32 images (16-32-64 channels, shortcuts of a 1x1 convolution with batch norm), LIF
with leak 1/2, threshold 1, hard reset without
gradient, arctangent surrogate with alpha 2, images shown at every step, mean of the scores over
time, SGD with momentum. It answers `step SECONDS` with
the seconds of each step of a turn, and the peak of the memory that it has taken.
"""

import json
import sys
import time

import torch
from spikingjelly.activation_based import functional, layer, memopt, neuron, surrogate
from torch import nn

WARM_UP = 2


def lif():
    return neuron.LIFNode(
        tau=2.0,
        decay_input=False,
        v_threshold=1.0,
        v_reset=0.0,
        detach_reset=True,
        surrogate_function=surrogate.ATan(alpha=2.0),
    )


def convolution(inputs, outputs, kernel, stride):
    return nn.Sequential(
        layer.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
        layer.BatchNorm2d(outputs),
    )


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.first, self.first_lif = convolution(inputs, outputs, 3, stride), lif()
        self.second, self.second_lif = convolution(outputs, outputs, 3, 1), lif()
        self.shortcut = (
            nn.Identity()
            if stride == 1 and inputs == outputs
            else convolution(inputs, outputs, 1, stride)
        )

    def forward(self, x):
        return self.second_lif(self.second(self.first_lif(self.first(x))) + self.shortcut(x))


class ResNet20(nn.Module):
    def __init__(self, classes=10):
        super().__init__()
        blocks, inputs = [], 16
        for outputs in (16, 32, 64):
            for block in range(3):
                blocks.append(Block(inputs, outputs, 2 if outputs > 16 and block == 0 else 1))
                inputs = outputs
        self.body = nn.Sequential(
            convolution(3, 16, 3, 1),
            lif(),
            *blocks,
            layer.AdaptiveAvgPool2d(1),
            layer.Flatten(),
            layer.Linear(64, classes),
        )

    def forward(self, x):
        return self.body(x).mean(0)


def memory(key):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith(key + ":"))


def main():
    setting, steps, batch, threads = sys.argv[1], *map(int, sys.argv[2:5])
    options = set() if setting == "default" else set(setting.split("+"))
    unknown = options - {"channels_last", "bf16", "compile", "memopt"}
    if unknown:
        sys.exit(f"unknown setting: {', '.join(sorted(unknown))}")
    torch.set_num_threads(threads)
    torch.manual_seed(1)
    network = ResNet20()
    functional.set_step_mode(network, "m")
    layout = torch.channels_last if "channels_last" in options else torch.contiguous_format
    network = network.to(memory_format=layout)
    optimiser = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9)
    images, labels = torch.randn(batch, 3, 32, 32).contiguous(memory_format=layout), torch.randint(
        0, 10, (batch,)
    )

    def repeated(images):
        x = images.unsqueeze(0).expand(steps, -1, -1, -1, -1)
        # Flattening and a view keep the layout of the images.
        return x.flatten(0, 1).contiguous(memory_format=layout).view(steps, -1, 3, 32, 32)

    if "memopt" in options:

        def example(network):
            functional.reset_net(network)
            return network(repeated(images[:2]))

        memopt.optimize_memory(network, Block, example, level=1)
        functional.reset_net(network)
    forward = torch.compile(network) if "compile" in options else network
    with open("/proc/self/clear_refs", "w") as refs:
        refs.write("5")
    before = memory("VmRSS")

    def step():
        x = repeated(images)
        with torch.autocast("cpu", torch.bfloat16, enabled="bf16" in options):
            loss = nn.functional.cross_entropy(forward(x).float(), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        functional.reset_net(network)

    for _ in range(WARM_UP):
        step()
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        what, budget = line.split()
        if what != "step":
            sys.exit(f"nothing to measure called {what}: step")
        seconds, start = [], time.perf_counter()
        while not seconds or time.perf_counter() - start < float(budget):
            begun = time.perf_counter()
            step()
            seconds.append(time.perf_counter() - begun)
        print(
            json.dumps({"seconds": seconds, "peak_mib": (memory("VmHWM") - before) / 2**20}),
            flush=True,
        )


main()
