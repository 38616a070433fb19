"""Runs a `.nir` file in other libraries and compares with what this project makes of it.

    pip install -r benches/peers/nir/requirements.txt
    python benches/peers/nir/compare.py NET.nir NET.json [--table OUT.md] [--dt 1e-4]

NET.json says what we computed: `images` (a file beside it of u8 pixels, sample after sample),
`shape` ([N, ...]), `classes` (N), `spikes` (the sum over images and steps, by name of the node).
How pixels enter, the steps, the step of time and the readout stand in the metadata of the file.
A library that refuses the file is a row with its own message. The exit code is 1 if a library that
runs the file is less equal than `--least` (a share of equal classes) says, which is 0 by default.
"""

import argparse
import json
import logging
import pathlib
import sys

import nir
import numpy as np
import torch

logging.disable(logging.WARNING)


class Network:
    """A file with what its metadata says of its use, and our results."""

    def __init__(self, path, facts, dt):
        self.path = path
        metadata = nir.read(path, type_check=False).metadata
        self.steps = int(metadata["time_steps"])
        self.readout = metadata["readout"]
        self.dt = float(metadata["dt"]) if dt is None else dt
        facts_path = pathlib.Path(facts)
        self.facts = json.loads(facts_path.read_text())
        shape = self.facts["shape"]
        pixels = np.fromfile(facts_path.parent / self.facts["images"], np.uint8).reshape(shape)
        each = (1, shape[1]) + (1,) * (len(shape) - 2)
        mean = np.asarray(metadata["pixel_mean"], np.float64).reshape(each)
        deviation = np.asarray(metadata["pixel_deviation"], np.float64).reshape(each)
        self.input = torch.from_numpy(((pixels - mean) / deviation).astype(np.float32))

    def graph(self):
        return nir.read(self.path)

    def read_out(self, outputs):
        if self.readout == "last":
            return outputs[-1]
        stacked = torch.stack(outputs)
        return stacked.amax(0) if self.readout == "max" else stacked.mean(0)


def first(value):
    """The output of a module that may return its state as well."""
    while isinstance(value, (tuple, list)):
        value = value[0]
    return value


class Spikes:
    """Sums of what modules that spike emit, by the name of their node."""

    def __init__(self, module, names):
        self.sums = {}
        for name, inner in module.named_modules():
            node = self.node(name, names)
            if node is not None:
                inner.register_forward_hook(self.hook(node))

    @staticmethod
    def node(name, names):
        return next((node for node in names if name in (node, node.replace(".", "_"))), None)

    def hook(self, node):
        def add(_module, _input, output):
            self.sums[node] = self.sums.get(node, 0) + int(first(output).sum())

        return add


def stepwise(network, module):
    """Runs a module that takes a step and its state, for all steps."""
    state, outputs = None, []
    for _ in range(network.steps):
        output, state = module(network.input, state)
        outputs.append(first(output))
    return network.read_out(outputs)


def snntorch(network, names):
    from snntorch.import_nir import import_from_nir

    graph = network.graph()
    if network.dt != 1e-4:
        raise ValueError("snnTorch takes every step for 1e-4 s")
    module = import_from_nir(graph).eval()
    spikes = Spikes(module, names)
    return stepwise(network, module), spikes.sums


def norse(network, names):
    import norse.torch

    module = norse.torch.from_nir(network.graph(), dt=network.dt).eval()
    spikes = Spikes(module, names)
    return stepwise(network, module), spikes.sums


def spikingjelly(network, names):
    from spikingjelly.activation_based.nir_exchange import import_from_nir

    module = import_from_nir(network.graph(), dt=network.dt).eval()
    spikes = Spikes(module, names)
    return stepwise(network, module), spikes.sums


def sinabs(network, names):
    """Layers of sinabs take all steps at once, folded into the batch."""
    import sinabs.nir

    count = len(network.input)
    module = sinabs.nir.from_nir(network.graph(), num_timesteps=network.steps).eval()
    spikes = Spikes(module, names)
    input = network.input.repeat_interleave(network.steps, 0)
    output = first(module(input))
    output = output.reshape(count, network.steps, -1).transpose(0, 1)
    return network.read_out(list(output)), spikes.sums


def reference(network, names):
    """NIR's equations in steps of Euler, straight from the file in f32."""
    graph = network.graph()
    order, done = [], {name for name, node in graph.nodes.items() if isinstance(node, nir.Input)}
    while len(done) < len(graph.nodes):
        for name in graph.nodes:
            if name not in done and all(a in done for a, b in graph.edges if b == name):
                order.append(name)
                done.add(name)
                break
        else:
            raise ValueError("this reference takes no recurrent graphs")
    states, sums, outputs = {}, {}, []
    for _ in range(network.steps):
        values = {n: network.input for n, node in graph.nodes.items() if isinstance(node, nir.Input)}
        for name in order:
            x = sum(values[a] for a, b in graph.edges if b == name)
            values[name], states[name] = step(graph.nodes[name], x, states.get(name), network.dt)
            if name in names:
                sums[name] = sums.get(name, 0) + int(values[name].sum())
            if isinstance(graph.nodes[name], nir.Output):
                outputs.append(values[name])
    return network.read_out(outputs), sums


def step(node, x, state, dt):
    """One step of a node: its output and its state."""
    p = {k: torch.as_tensor(v) for k, v in vars(node).items() if isinstance(v, np.ndarray)}
    functional = torch.nn.functional
    if isinstance(node, nir.Output):
        return x, None
    if isinstance(node, nir.Affine):
        return functional.linear(x, p["weight"], p["bias"]), None
    if isinstance(node, nir.Linear):
        return functional.linear(x, p["weight"]), None
    if isinstance(node, nir.Scale):
        return x * p["scale"], None
    if isinstance(node, (nir.Conv1d, nir.Conv2d)):
        conv = functional.conv2d if isinstance(node, nir.Conv2d) else functional.conv1d
        pairs = [
            tuple(int(v) for v in np.atleast_1d(value))
            for value in (node.stride, node.padding, node.dilation)
        ]
        return conv(x, p["weight"], p["bias"], *pairs, int(node.groups)), None
    if isinstance(node, (nir.AvgPool2d, nir.SumPool2d)):
        sizes = [tuple(int(v) for v in s) for s in (node.kernel_size, node.stride, node.padding)]
        mean = functional.avg_pool2d(x, *sizes)
        area = sizes[0][0] * sizes[0][1] if isinstance(node, nir.SumPool2d) else 1
        return mean * area, None
    if isinstance(node, nir.Flatten):
        return x.flatten(1), None
    if isinstance(node, nir.Threshold):
        return (x > p["threshold"]).float(), None
    if isinstance(node, nir.CubaLIF):
        i, v = state if state is not None else (0.0, 0.0)
        i = i + dt / p["tau_syn"] * (-i + p["w_in"] * x)
        v = v + dt / p["tau_mem"] * (p["v_leak"] - v + p["r"] * i)
        z = (v > p["v_threshold"]).float()
        return z, (i, torch.where(z > 0, p["v_reset"], v))
    v = state if state is not None else torch.zeros_like(x)
    if isinstance(node, (nir.IF, nir.I)):
        v = v + dt * p["r"] * x
    elif isinstance(node, (nir.LIF, nir.LI)):
        v = v + dt / p["tau"] * (p["v_leak"] - v + p["r"] * x)
    else:
        raise ValueError(f"this reference has no {type(node).__name__}")
    if isinstance(node, (nir.I, nir.LI)):
        return v, v
    z = (v > p["v_threshold"]).float()
    return z, torch.where(z > 0, p["v_reset"], v)


PEERS = {
    "NIR's equations, Euler": reference,
    "snnTorch": snntorch,
    "Norse": norse,
    "SpikingJelly": spikingjelly,
    "sinabs": sinabs,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("nir")
    parser.add_argument("facts")
    parser.add_argument("--dt", type=float, help="step of time, else that of the file")
    parser.add_argument("--table", type=pathlib.Path, help="write the table to this file")
    parser.add_argument("--least", type=float, default=0.0)
    arguments = parser.parse_args()
    network = Network(arguments.nir, arguments.facts, arguments.dt)
    ours, names = network.facts["spikes"], list(network.facts["spikes"])
    classes = torch.tensor(network.facts["classes"])
    rows = [["library", "equal classes"] + [f"spikes of `{name}`" for name in names]]
    rows.append(["this project", f"{len(classes)} images"] + [str(ours[name]) for name in names])
    failed = False
    for name, run in PEERS.items():
        try:
            with torch.no_grad():
                scores, spikes = run(network, names)
        except Exception as error:  # Whatever a library raises is its answer.
            text = " ".join(str(error).split())[:120] or type(error).__name__
            rows.append([name, f"refused: {text}"] + ["–"] * len(names))
            continue
        equal = (scores.reshape(len(classes), -1).argmax(1) == classes).float().mean().item()
        failed |= equal < arguments.least
        rows.append([name, f"{equal:.1%}"] + [counted(spikes, ours, name) for name in names])
    text = "\n".join(["| " + " | ".join(row) + " |" for row in rows])
    head, rest = text.split("\n", 1)
    text = head + "\n|" + "---|" * len(rows[0]) + "\n" + rest + "\n"
    print(text)
    if arguments.table:
        arguments.table.write_text(text)
    return int(failed)


def counted(spikes, ours, name):
    """A count, and how far it is from ours."""
    if name not in spikes:
        return "not seen"
    apart = spikes[name] - ours[name]
    return f"{spikes[name]}" + (f" ({apart:+d})" if apart else "")


if __name__ == "__main__":
    sys.exit(main())
