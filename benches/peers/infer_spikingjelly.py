"""One side of `cargo xtask bench-peers infer`: the trained spiking network in SpikingJelly.

usage: infer_spikingjelly.py SETTING MODEL DATA IMAGES BATCH THREADS

SETTING joins any of channels_last, bf16 and compile with "+", or is `default`: how the library's
users write it, single precision, channels first.
MODEL is the trained file, DATA the folder of CIFAR-100. Images are shown at every step; the class
is that of the mean of the scores over time.
"""

import sys

import torch
from spikingjelly.activation_based import functional, layer, neuron, surrogate
from trained import ResNet, Trained, serve


class Spiking:
    def convolution(self, inputs, outputs, kernel, stride):
        return layer.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)

    def norm(self, channels):
        return layer.BatchNorm2d(channels)

    def activation(self):
        return neuron.LIFNode(
            tau=2.0,
            decay_input=False,
            v_threshold=1.0,
            v_reset=0.0,
            detach_reset=True,
            surrogate_function=surrogate.ATan(alpha=2.0),
        )

    def pool(self):
        return layer.AdaptiveAvgPool2d(1)

    def flatten(self):
        return layer.Flatten()

    def linear(self, inputs, outputs):
        return layer.Linear(inputs, outputs)


def firing_rates(network, forward, images):
    """Share of active neurons of each site, in the order in which they run."""
    rates = []
    note = lambda _module, _input, output: rates.append((output != 0).float().mean().item())
    hooks = [
        module.register_forward_hook(note)
        for module in network.modules()
        if isinstance(module, neuron.LIFNode)
    ]
    forward(images)
    for hook in hooks:
        hook.remove()
    return rates


def main():
    setting, model, folder = sys.argv[1:4]
    count, batch, threads = map(int, sys.argv[4:7])
    options = set() if setting == "default" else set(setting.split("+"))
    unknown = options - {"channels_last", "bf16", "compile"}
    if unknown:
        sys.exit(f"unknown setting: {', '.join(sorted(unknown))}")
    torch.set_num_threads(threads)
    trained = Trained(model)
    network = ResNet(Spiking(), trained)
    trained.load(network)
    functional.set_step_mode(network, "m")
    layout = torch.channels_last if "channels_last" in options else torch.contiguous_format
    network = network.to(memory_format=layout).eval()
    images = torch.from_numpy(trained.images(folder, count)).contiguous(memory_format=layout)
    steps = trained.time_steps

    def run(forward, x):
        # Flattening and a view keep the layout of the images.
        frames = (
            x.unsqueeze(0)
            .expand(steps, -1, -1, -1, -1)
            .flatten(0, 1)
            .contiguous(memory_format=layout)
            .view(steps, *x.shape)
        )
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled="bf16" in options):
            scores = forward(frames).mean(0)
        functional.reset_net(network)
        return scores.argmax(1)

    rates = firing_rates(network, lambda x: run(network, x), images[:batch])
    forward = torch.compile(network) if "compile" in options else network
    serve(images, batch, lambda x: run(forward, x), {"rates": rates})


main()
