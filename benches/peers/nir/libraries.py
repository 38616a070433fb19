"""The libraries that `compare.py` runs NIR files in, and networks that each of them writes."""

import contextlib
import io

import nir
import numpy as np
import torch

import euler


class Run:
    """What a library makes of inputs `[T, N, ...]`: outputs `[T, N, K]`, and by name of the node
    what neurons emit, `[T, N, ...]`."""

    def __init__(self, outputs, emitted):
        self.outputs = outputs
        self.emitted = emitted


def first(value):
    """The output of a module that may return its state as well."""
    while isinstance(value, (tuple, list)):
        value = value[0]
    return value


class Taps:
    """Keeps what the modules emit that stand for nodes."""

    def __init__(self, module, names):
        self.kept = {}
        for name, inner in module.named_modules():
            node = next((n for n in names if name in (n, n.replace(".", "_"))), None)
            if node is not None:
                inner.register_forward_hook(self.hook(node))

    def hook(self, node):
        def keep(_module, _input, output):
            self.kept.setdefault(node, []).append(first(output).detach().clone())

        return keep


def with_batch(module):
    """Moves the axes of what counts them as NIR does, without that of a batch."""
    for inner in module.modules():
        if isinstance(inner, torch.nn.Flatten):
            inner.start_dim += inner.start_dim >= 0
            inner.end_dim += inner.end_dim >= 0
    return module


def stepwise(module, inputs, names):
    """Runs a module that takes a step and its state."""
    taps, state, outputs = Taps(module, names), None, []
    for frame in inputs:
        output, state = module(frame, state)
        outputs.append(first(output).detach().clone())
    return Run(torch.stack(outputs), {n: torch.stack(all) for n, all in taps.kept.items()})


def snntorch(path, inputs, names, dt):
    from snntorch.import_nir import import_from_nir

    with contextlib.redirect_stdout(io.StringIO()):
        module = import_from_nir(nir.read(path)).eval()
    return stepwise(with_batch(module), inputs, names)


def norse(path, inputs, names, dt):
    import norse.torch

    module = norse.torch.from_nir(nir.read(path), dt=dt).eval()
    return stepwise(with_batch(module), inputs, names)


def spikingjelly(path, inputs, names, dt):
    from spikingjelly.activation_based.nir_exchange import import_from_nir

    module = import_from_nir(nir.read(path), dt=dt).eval()
    return stepwise(module, inputs, names)


def sinabs(path, inputs, names, dt):
    """Layers of sinabs count time in steps, and take all steps at once, folded into the batch."""
    import sinabs.nir

    steps, count = inputs.shape[:2]
    module = sinabs.nir.from_nir(nir.read(path), num_timesteps=steps).eval()
    taps = Taps(module, names)
    output = first(module(inputs.transpose(0, 1).flatten(0, 1)))
    unfold = lambda values: values.unflatten(0, (count, steps)).transpose(0, 1)  # noqa: E731
    return Run(unfold(output), {node: unfold(values[0]) for node, values in taps.kept.items()})


def reference(path, inputs, names, dt):
    """NIR's equations in forward Euler, in f32."""
    return Run(*euler.run(nir.read(path), inputs, names, dt))


def exact(path, inputs, names, dt):
    """The same in f64, as in our naive evaluator, with thresholds of f32."""
    return Run(*euler.run(nir.read(path), inputs.double(), names, dt, euler.of_f32))


def of(dt):
    """The libraries that take files of this step of time: sinabs counts time in steps, snnTorch has
    a step of 1e-4 s built in."""
    equations = {"NIR's equations in f64": exact, "NIR's equations in f32": reference}
    if dt == 1:
        return equations | {"sinabs": sinabs}
    return equations | {
        "snnTorch": snntorch,
        "Norse": norse,
        "SpikingJelly": spikingjelly,
    }


# === Networks that the libraries write ===


class Written:
    """A network of a library: its `.nir`, how it runs there, and how ours is to read it."""

    def __init__(self, graph, run, options, names):
        self.graph = graph
        self.run = run
        self.options = options
        self.names = names


def layers(weights):
    """Linear layers with these weights and biases."""
    made = []
    for weight, bias in weights:
        layer = torch.nn.Linear(weight.shape[1], weight.shape[0])
        layer.weight.data, layer.bias.data = torch.tensor(weight), torch.tensor(bias)
        made.append(layer)
    return made


def chain(parts, neurons):
    """Linear layers with neurons between them, under the names that exporters see."""
    modules = []
    for place, layer in enumerate(parts):
        modules.append(layer)
        if place < len(parts) - 1:
            modules.append(neurons(layer.weight.shape[0]))
    return modules


def spiking(graph):
    """Names of a graph's neurons, in the order of its chain."""
    after, names = dict(graph.edges), []
    at = next(name for name, node in graph.nodes.items() if isinstance(node, nir.Input))
    while at in after:
        at = after[at]
        if isinstance(graph.nodes[at], (nir.IF, nir.LIF, nir.CubaLIF)):
            names.append(at)
    return names


def loop(module, inputs, neurons, step):
    """Runs a module for all steps, keeping what its neurons emit in the order of the layers."""
    kept = [[] for _ in neurons]
    for tap, neuron in zip(kept, neurons):
        neuron.register_forward_hook(lambda _m, _i, out, tap=tap: tap.append(first(out).clone()))
    outputs = [step(module, frame) for frame in inputs]
    return torch.stack(outputs), [torch.stack(tap) for tap in kept]


def written_snntorch(weights, inputs):
    import snntorch as snn
    from snntorch.export_nir import export_to_nir

    def leaky(size):
        # A file of one value for all, which the default makes, is of no shape that fits.
        return snn.Leaky(
            beta=torch.full((size,), 0.5),
            threshold=torch.ones(size),
            reset_mechanism="zero",
            reset_delay=False,
            init_hidden=True,
        )

    module = torch.nn.Sequential(*chain(layers(weights), leaky)).eval()
    graph = export_to_nir(module, inputs[0], ignore_dims=[0])
    neurons = [m for m in module if isinstance(m, snn.Leaky)]
    for neuron in neurons:
        neuron.reset_hidden()
    run = loop(module, inputs, neurons, lambda module, frame: first(module(frame)))
    return Written(graph, run, {"dt": 1e-4}, spiking(graph))


def written_norse(weights, inputs):
    import norse.torch
    from norse.torch.functional.lif_box import LIFBoxParameters

    dt, state = 1e-3, [None]
    # A leak of ½ a step; gain ½, since r is 1.
    parameters = LIFBoxParameters(tau_mem_inv=torch.tensor(0.5 / dt), v_th=torch.tensor(0.5))
    cell = lambda _: norse.torch.LIFBoxCell(parameters, dt=dt)  # noqa: E731
    module = norse.torch.SequentialState(*chain(layers(weights), cell)).eval()
    graph = norse.torch.to_nir(module, inputs[0][0], dt=dt)

    def step(module, frame):
        output, state[0] = module(frame, state[0])
        return output

    neurons = [m for m in module.modules() if isinstance(m, norse.torch.LIFBoxCell)]
    run = loop(module, inputs, neurons, step)
    # It writes dt·τ in place of τ, so that a step of dt² has the ratio that is meant.
    return Written(graph, run, {"dt": dt * dt}, spiking(graph))


def written_spikingjelly(weights, inputs):
    from spikingjelly.activation_based import functional, layer, neuron
    from spikingjelly.activation_based.nir_exchange import export_to_nir

    parts = []
    for weight, bias in weights:
        part = layer.Linear(weight.shape[1], weight.shape[0])
        part.weight.data, part.bias.data = torch.tensor(weight), torch.tensor(bias)
        parts.append(part)
    node = lambda _: neuron.LIFNode(tau=2.0, decay_input=False, v_reset=0.0)  # noqa: E731
    module = torch.nn.Sequential(*chain(parts, node)).eval()
    graph = export_to_nir(module, inputs[0], dt=1e-4)
    functional.reset_net(module)
    neurons = [m for m in module if isinstance(m, neuron.LIFNode)]
    run = loop(module, inputs, neurons, lambda module, frame: module(frame))
    return Written(graph, run, {"dt": 1e-4}, spiking(graph))


def written_sinabs(weights, inputs):
    import sinabs.activation as activation
    import sinabs.layers as sl
    import sinabs.nir

    steps, count = inputs.shape[:2]
    tau = float(1 / np.log(2))

    def lif(_):
        return sl.LIFSqueeze(
            tau_mem=tau,
            spike_threshold=torch.tensor(0.5),
            spike_fn=activation.SingleSpike,
            reset_fn=activation.MembraneReset(),
            norm_input=True,
            num_timesteps=steps,
        )

    module = torch.nn.Sequential(*chain(layers(weights), lif)).eval()
    folded = inputs.transpose(0, 1).flatten(0, 1)
    graph = sinabs.nir.to_nir(module, folded)
    neurons = [m for m in module if isinstance(m, sl.LIFSqueeze)]
    for neuron in neurons:
        neuron.reset_states()
    taps = [[] for _ in neurons]
    for tap, neuron in zip(taps, neurons):
        neuron.register_forward_hook(lambda _m, _i, out, tap=tap: tap.append(out.clone()))
    unfold = lambda values: values.unflatten(0, (count, steps)).transpose(0, 1)  # noqa: E731
    run = unfold(module(folded)), [unfold(tap[0]) for tap in taps]
    # Its leak is e^(−1/τ), time in steps.
    options = {"dt": 1.0, "discretisation": "exponential"}
    return Written(graph, run, options, spiking(graph))


WRITERS = {
    "snnTorch": written_snntorch,
    "Norse": written_norse,
    "SpikingJelly": written_spikingjelly,
    "sinabs": written_sinabs,
}
