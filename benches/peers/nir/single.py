"""One layer of neurons over 1,000 random steps: this project beside each library."""

import gzip
import pathlib

import nir
import numpy as np
import torch

import euler
import libraries

FIXTURES = pathlib.Path(__file__).resolve().parents[3] / "fixtures/nir"
STEPS, DEVIATION = 1000, 64.0
# Forms of one neuron: in sinabs' unit of time, and with r = 1, which Norse and sinabs take it for.
FORMS = ["as written", "r = 1", "r = 1, dt = 1"]


def scaled(node, form):
    """The same neuron in another form: potentials in another unit, or time."""
    fields = {k: v for k, v in vars(node).items() if isinstance(v, np.ndarray)}
    dt = 1e-4
    if form != "as written" and isinstance(node, nir.LIF):
        unit = dt / fields["tau"]
        fields["v_threshold"] = fields["v_threshold"] * unit
        fields["r"] = np.ones_like(fields["r"])
    if form == "r = 1" and isinstance(node, nir.IF):
        fields["v_threshold"] = fields["v_threshold"] * np.float32(dt)
        fields["r"] = np.ones_like(fields["r"])
    if form == "r = 1, dt = 1":
        for name in ("tau", "tau_syn", "tau_mem"):
            if name in fields:
                fields[name] = fields[name] / np.float32(dt)
        if isinstance(node, nir.IF):
            fields["r"] = fields["r"] * np.float32(dt)
    return type(node)(**fields)


def neurons(ours):
    random = np.random.default_rng(7)
    pixels = random.integers(0, 256, (STEPS, 1, 3)).astype(np.uint8)
    inputs = torch.from_numpy((pixels / DEVIATION).astype(np.float32))
    table = []
    for kind in ["if", "lif", "cuba_lif", "li"]:
        source = ours.folder / "neuron.nir"
        source.write_bytes(gzip.decompress((FIXTURES / f"{kind}.nir.gz").read_bytes()))
        for form in FORMS:
            graph = nir.read(source)
            node = graph.nodes["neuron"]
            if form == "r = 1" and not isinstance(node, (nir.IF, nir.LIF)):
                continue
            graph.nodes["neuron"] = scaled(node, form)
            path = ours.folder / "form.nir"
            nir.write(path, graph)
            dt = 1.0 if form.endswith("dt = 1") else 1e-4
            request = {"time_steps": STEPS, "dt": dt, "mean": [0] * 3, "deviation": [DEVIATION] * 3}
            answer = ours.run(path, pixels, frames=True, steps=True, **request)
            mine = emitted(answer["steps"])
            entry = {"neuron": type(node).__name__, "form": form, "dt": dt, "rows": []}
            entry["spikes"] = float(mine.sum()) if kind != "li" else None
            for library, run in libraries.of(dt).items():
                entry["rows"].append(compared(library, run, path, inputs, dt, mine, kind))
            table.append(entry)
    return table


def emitted(steps):
    """What the neuron emits, `[T, neurons]`; of an integrator the difference of its parts."""
    if "neuron" in steps:
        return np.array(steps["neuron"])
    return np.array(steps["neuron.positive"]) - np.array(steps["neuron.negative"])


def compared(library, run, path, inputs, dt, mine, kind):
    try:
        with torch.no_grad():
            result = run(path, inputs, ["neuron"], dt)
        theirs = result.emitted["neuron"].reshape(mine.shape).numpy()
    except Exception as error:  # Whatever a library raises is its answer.
        return {"library": library, "refused": " ".join(str(error).split())[:160] or repr(error)}
    cause = euler.CAUSES.get(library, euler.forward)
    _, caused = euler.run(nir.read(path), inputs, ["neuron"], dt, cause)
    apart = np.abs(caused["neuron"].reshape(mine.shape).numpy() - theirs).max()
    found = {"library": library, "from_its_equations": float(apart)}
    if kind == "li":
        return found | {"apart": float(np.abs(theirs - mine).max())}
    differ = (theirs != mine).any(1)
    return found | {
        "spikes": float(theirs.sum()),
        "differ": int(differ.sum()),
        "first": int(np.argmax(differ)) if differ.any() else None,
    }
