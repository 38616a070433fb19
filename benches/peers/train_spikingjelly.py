"""One side of `cargo xtask bench-peers train`: the same network and step in SpikingJelly.

usage: train_spikingjelly.py SETTING NETWORK T BATCH THREADS [DEVICE]

SETTING joins any of channels_last, bf16, compile, triton and memopt with "+", or is `default`: how
the library's users write it, single precision, channels first. `memopt` recomputes every block in
the backward pass from inputs that are kept as bits (its level 1; the others need CUDA).
NETWORK is a ResNet for 32x32 images, with shortcuts of a 1x1 convolution with batch norm: `resnet`
(ResNet-20: 16-32-64 channels), `resnet18` (64-128-256-512) or `resnet19` (128-256-512). LIF with
leak 1/2, threshold 1, hard reset without gradient, arctangent surrogate with alpha 2, images shown
at every step, mean of the scores over time, SGD with momentum. It answers `step SECONDS` with the
seconds of each step of a turn, and the peak of the host's memory that it has taken; a GPU is waited
for after some steps, and each of them has its share of their time.
"""

import json
import sys
import time

import torch
from spikingjelly.activation_based import functional, layer, memopt, neuron, surrogate
from torch import nn

WARM_UP = 2
# Steps after which a GPU is waited for.
UNTIL_READ = 10


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


# Channels and blocks of each stage.
NETWORKS = {
    "resnet": [(16, 3), (32, 3), (64, 3)],
    "resnet18": [(64, 2), (128, 2), (256, 2), (512, 2)],
    "resnet19": [(128, 3), (256, 3), (512, 2)],
}


class ResNet(nn.Module):
    def __init__(self, stages, classes=10):
        super().__init__()
        first = inputs = stages[0][0]
        blocks = []
        for outputs, count in stages:
            for block in range(count):
                blocks.append(Block(inputs, outputs, 2 if outputs > first and block == 0 else 1))
                inputs = outputs
        self.body = nn.Sequential(
            convolution(3, first, 3, 1),
            lif(),
            *blocks,
            layer.AdaptiveAvgPool2d(1),
            layer.Flatten(),
            layer.Linear(inputs, classes),
        )

    def forward(self, x):
        return self.body(x).mean(0)


def memory(key):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith(key + ":"))


def main():
    setting, name, steps, batch, threads = *sys.argv[1:3], *map(int, sys.argv[3:6])
    device = torch.device(sys.argv[6] if len(sys.argv) > 6 else "cpu")
    on_gpu = device.type == "cuda"
    options = set() if setting == "default" else set(setting.split("+"))
    unknown = options - {"channels_last", "bf16", "compile", "triton", "memopt"}
    if unknown:
        sys.exit(f"unknown setting: {', '.join(sorted(unknown))}")
    torch.set_num_threads(threads)
    torch.manual_seed(1)
    torch.backends.cudnn.benchmark = True
    network = ResNet(NETWORKS[name]).to(device)
    functional.set_step_mode(network, "m")
    if "triton" in options:
        functional.set_backend(network, "triton", neuron.LIFNode)
    layout = torch.channels_last if "channels_last" in options else torch.contiguous_format
    network = network.to(memory_format=layout)
    optimiser = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9)
    images = torch.randn(batch, 3, 32, 32, device=device).contiguous(memory_format=layout)
    labels = torch.randint(0, 10, (batch,), device=device)

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
        with torch.autocast(device.type, torch.bfloat16, enabled="bf16" in options):
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
        count = UNTIL_READ if on_gpu else 1
        while not seconds or time.perf_counter() - start < float(budget):
            begun = time.perf_counter()
            for _ in range(count):
                step()
            if on_gpu:
                torch.cuda.synchronize(device)
            seconds.append((time.perf_counter() - begun) / count)
        print(
            json.dumps({"seconds": seconds, "peak_mib": (memory("VmHWM") - before) / 2**20}),
            flush=True,
        )


main()
