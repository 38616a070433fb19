"""NIR's equations in steps of time, straight from a graph of Python's `nir`, and what libraries
take in their place, to show that a difference has the cause that is named."""

import nir
import numpy as np
import torch


def run(graph, inputs, names, dt, neuron=None):
    """Outputs `[T, N, K]` of inputs `[T, N, ...]`, and what the named nodes emit. `neuron` is the
    step of a node with a state: `forward` unless it is given."""
    order, done = [], {name for name, node in graph.nodes.items() if isinstance(node, nir.Input)}
    while len(done) < len(graph.nodes):
        ready = [
            name
            for name in graph.nodes
            if name not in done and all(a in done for a, b in graph.edges if b == name)
        ]
        if not ready:
            raise ValueError("this reference takes no recurrent graphs")
        order += ready
        done.update(ready)
    states, emitted, outputs = {}, {}, []
    for frame in inputs:
        values = {n: frame for n, node in graph.nodes.items() if isinstance(node, nir.Input)}
        for name in order:
            x = sum(values[a] for a, b in graph.edges if b == name)
            values[name], states[name] = step(
                graph.nodes[name], x, states.get(name), dt, neuron or forward
            )
            if name in names:
                emitted.setdefault(name, []).append(values[name])
            if isinstance(graph.nodes[name], nir.Output):
                outputs.append(values[name])
    return torch.stack(outputs), {name: torch.stack(all) for name, all in emitted.items()}


def step(node, x, state, dt, neuron):
    """One step of a node: its output and its state."""
    p = {
        k: torch.as_tensor(v, dtype=x.dtype)
        for k, v in vars(node).items()
        if isinstance(v, np.ndarray) and v.dtype.kind == "f"
    }
    if isinstance(node, nir.Output):
        return x, None
    if isinstance(node, (nir.IF, nir.LIF, nir.CubaLIF, nir.I, nir.LI)):
        return neuron(node, p, x, state, dt)
    return layer(node, p, x), None


def layer(node, p, x):
    functional = torch.nn.functional
    pairs = lambda *all: [tuple(int(v) for v in np.atleast_1d(a)) for a in all]  # noqa: E731
    if isinstance(node, (nir.Affine, nir.Linear)):
        return functional.linear(x, p["weight"], p.get("bias"))
    if isinstance(node, nir.Scale):
        return x * p["scale"]
    if isinstance(node, (nir.Conv1d, nir.Conv2d)):
        conv = functional.conv2d if isinstance(node, nir.Conv2d) else functional.conv1d
        sizes = pairs(node.stride, node.padding, node.dilation)
        return conv(x, p["weight"], p["bias"], *sizes, int(node.groups))
    if isinstance(node, (nir.AvgPool2d, nir.SumPool2d)):
        sizes = pairs(node.kernel_size, node.stride, node.padding)
        area = sizes[0][0] * sizes[0][1] if isinstance(node, nir.SumPool2d) else 1
        return functional.avg_pool2d(x, *sizes) * area
    if isinstance(node, nir.Flatten):
        return x.flatten(1)
    if isinstance(node, nir.Threshold):
        return (x > p["threshold"]).to(x.dtype)
    raise ValueError(f"this reference has no {type(node).__name__}")


def forward(node, p, x, state, dt):
    """Forward Euler."""
    if isinstance(node, nir.CubaLIF):
        i, v = state if state is not None else (0.0, p["v_leak"])
        i = i + dt / p["tau_syn"] * (-i + p["w_in"] * x)
        v = v + dt / p["tau_mem"] * (p["v_leak"] - v + p["r"] * i)
        z = (v > p["v_threshold"]).to(x.dtype)
        return z, (i, torch.where(z > 0, p["v_reset"], v))
    if isinstance(node, (nir.IF, nir.I)):
        v = (0.0 if state is None else state) + dt * p["r"] * x
    else:
        v = p["v_leak"] if state is None else state
        v = v + dt / p["tau"] * (p["v_leak"] - v + p["r"] * x)
    if isinstance(node, (nir.I, nir.LI)):
        return v, v
    z = (v > p["v_threshold"]).to(x.dtype)
    return z, torch.where(z > 0, p["v_reset"], v)


def of_f32(node, p, x, state, dt):
    """Forward Euler, with `v > v_threshold` decided as f32 does: from the next f32 on."""
    if "v_threshold" in p:
        above = np.nextafter(node.v_threshold.astype(np.float32), np.float32(np.inf))
        below = np.nextafter(above.astype(np.float64), -np.inf)
        p = p | {"v_threshold": torch.as_tensor(below)}
    return forward(node, p, x, state, dt)


# === What libraries take in place of NIR's equations ===


def sinabs(node, p, x, state, dt):
    """Time in steps, an exponential leak, a gain of 1, and as many spikes at once as the membrane
    has thresholds, which are subtracted; without a leak the membrane stays above −θ."""
    leak = torch.exp(-1.0 / p["tau"]) if "tau" in p else 1.0
    v = leak * (0.0 if state is None else state) + x
    if "v_threshold" not in p:
        return v, v
    theta = p["v_threshold"]
    z = (v > 0) * torch.div(v, theta, rounding_mode="trunc")
    v = v - z * theta
    return z, v if "tau" in p else torch.relu(v + theta) - theta


def norse(node, p, x, state, dt):
    """`r` of a LIF is taken for 1, and `r·dt` of an IF."""
    if isinstance(node, nir.LIF):
        p = p | {"r": torch.ones_like(p["r"])}
    if isinstance(node, nir.IF):
        p = p | {"r": torch.ones_like(p["r"]) / dt}
    return forward(node, p, x, state, dt)


CAUSES = {"sinabs": sinabs, "Norse": norse}
