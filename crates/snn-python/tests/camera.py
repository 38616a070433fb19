"""A small network for events of a sensor of 4 x 3, written as a file without the project's code."""

import json
import struct

import numpy as np
import snn

STEPS = 3


def model(channels=2, form="grid", **options):
    """`[channels, 3, 4]` to three classes, T = 3, with neurons that remember."""
    size = channels * 12
    grid = form == "grid"
    lif = {"kind": "grid_lif", "leak_multiplier": 1, "leak_shift": 1, "guard_bits": 3}
    site = {**lif, "reset": "soft"} if grid else {"kind": "lif"}
    nodes = [
        ("image", {"op": "input", "shape": [channels, 3, 4]}, []),
        ("flat", {"op": "flatten"}, ["image"]),
        ("fc", {"op": "linear", "features": 5, "bias": False}, ["flat"]),
        ("act", {"op": "activation", "site": site, "code": "binary"}, ["fc"]),
        ("out", {"op": "linear", "features": 3, "bias": False}, ["act"]),
        ("head", {"op": "time_mean"}, ["out"]),
    ]
    header = {
        "version": 1,
        "form": {"kind": "grid", "logit_unit": 0.25} if grid else {"kind": "events"},
        "time_steps": STEPS,
        "preprocessing": {"mean": [0] * channels, "std": [1.0] * channels},
        "classes": ["left", "right", "none"],
        "graph": {"nodes": [{"name": n, "op": op, "inputs": i} for n, op, i in nodes]},
    }

    def weights(outputs, inputs):
        o, i = np.mgrid[:outputs, :inputs]
        values = ((i * 7 + o * 5) % 11 - 4).astype(np.int8)
        return values if grid else values.astype(np.float64) / 8

    tensors = {"fc.weight": weights(5, size), "out.weight": weights(3, 5)}
    if grid:
        tensors["fc.multiplier"] = np.ones(5, np.int32)
        tensors["act.threshold"] = np.full(5, 40, np.int32)
        tensors["out.multiplier"] = np.ones(3, np.int32)
    return snn.Model.from_bytes(safetensors(tensors, {"snn": json.dumps(header)}), **options)


def safetensors(tensors, metadata):
    """The bytes of a file of these arrays."""
    names = {"int8": "I8", "int32": "I32", "float64": "F64"}
    index, data = {"__metadata__": metadata}, b""
    for name, array in sorted(tensors.items(), key=lambda item: (-item[1].itemsize, item[0])):
        raw = array.astype(array.dtype.newbyteorder("<")).tobytes()
        place = [len(data), len(data) + len(raw)]
        dtype = names[array.dtype.name]
        index[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": place}
        data += raw
    text = json.dumps(index).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data
