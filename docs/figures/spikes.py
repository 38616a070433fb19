"""Draws the README's picture from the shipped network:

    python3 docs/figures/spikes.py > docs/figures/spikes.svg

The first two sites of the network are evaluated by equations 12 and 13 of docs/semantics.md with
the standard library alone. The upper row is what trains, the lower row what runs; both have the
same integers.
"""

import json
import math
import struct
from pathlib import Path

MODEL = Path(__file__).parents[2] / "fixtures/resnet20-cifar100-int8.safetensors"
SIDE, LEVELS, STEPS = 32, 4, 2
TYPES = {"I8": "b", "I32": "i"}


def read(path):
    """Graph and weights of a model file (docs/book/src/files.md)."""
    raw = path.read_bytes()
    (size,) = struct.unpack_from("<Q", raw)
    header = json.loads(raw[8 : 8 + size])
    model = json.loads(header.pop("__metadata__")["snn"])
    weights = {}
    for name, entry in header.items():
        first, last = entry["data_offsets"]
        code = TYPES[entry["dtype"]]
        count = (last - first) // struct.calcsize(code)
        weights[name] = struct.unpack_from(f"<{count}{code}", raw, 8 + size + first)
    return model, weights


def picture():
    """An apple on a table: three channels of bytes."""
    def pixel(x, y):
        along = (x - 19.5) * 0.8 + (y - 6) * 0.6
        across = (y - 6) * 0.8 - (x - 19.5) * 0.6
        if along**2 / 9 + across**2 / 3 < 1:
            return 70, 160, 60
        if abs(x - 16 - (9 - y) / 4) < 1 and 4 < y < 11:
            return 95, 65, 40
        if (x - 15.5) ** 2 + ((y - 18) * 1.06) ** 2 < 90:
            shine = max(0, 1 - math.hypot(x - 11, y - 14) / 9)
            return 205 + 45 * shine, 40 + 160 * shine, 45 + 130 * shine
        if y > 24:
            return 150 - 2 * (y - 24), 110 - 2 * (y - 24), 80
        return 170 + y, 200 + y, 235

    return [[[round(pixel(x, y)[c]) for x in range(SIDE)] for y in range(SIDE)] for c in range(3)]


def convolve(x, name, weights):
    """Eq. 12 of a 3x3 convolution with padding 1."""
    kernel, inputs = weights[f"{name}.weight"], len(x)
    edge = [[0] * (SIDE + 2)]
    padded = [edge + [[0, *row, 0] for row in plane] + edge for plane in x]
    result = []
    for o, multiplier in enumerate(weights[f"{name}.multiplier"]):
        bias = weights[f"{name}.bias"][o]
        taps = [(c, a, b, kernel[((o * inputs + c) * 3 + a) * 3 + b])
                for c in range(inputs) for a in range(3) for b in range(3)]
        sums = [[sum(w * padded[c][i + a][j + b] for c, a, b, w in taps) for j in range(SIDE)]
                for i in range(SIDE)]
        result.append([[multiplier * total + bias for total in row] for row in sums])
    return result


def quant_relu(current, name, weights):
    """Levels of eq. 13."""
    thresholds, channels = weights[f"{name}.thresholds"], len(current)
    level = lambda v, c: sum(v >= thresholds[d * channels + c] for d in range(LEVELS))
    return [[[level(v, c) for v in row] for row in plane] for c, plane in enumerate(current)]


def lif(current, site, threshold):
    """Spikes of eq. 13 for one channel, hard reset, the same current at every macro-step."""
    shift, guard = site["leak_shift"], site["guard_bits"]
    membranes, frames = [[0] * SIDE for _ in range(SIDE)], []
    for _ in range(STEPS):
        frame = [[0] * SIDE for _ in range(SIDE)]
        for i in range(SIDE):
            for j in range(SIDE):
                u = (membranes[i][j] * site["leak_multiplier"] >> shift) + (current[i][j] << guard)
                frame[i][j] = int(u >= threshold << guard)
                membranes[i][j] = 0 if frame[i][j] else u
        frames.append(frame)
    return frames


def tile(plane, x, y, scale, colour):
    """A map of small integers as runs of equal colour."""
    parts = []
    for i, row in enumerate(plane):
        j = 0
        while j < SIDE:
            end = j
            while end < SIDE and row[end] == row[j]:
                end += 1
            if row[j]:
                parts.append((colour(row[j]), f"M{j} {i}h{end - j}v1h{j - end}z"))
            j = end
    paths = {}
    for fill, path in parts:
        paths.setdefault(fill, []).append(path)
    drawn = "".join(f'<path fill="{fill}" d="{"".join(path)}"/>' for fill, path in paths.items())
    size = SIDE * scale
    return (
        f'<g transform="translate({x} {y}) scale({scale})" shape-rendering="crispEdges">'
        f'<rect width="{SIDE}" height="{SIDE}" fill="#f4f4f2"/>{drawn}</g>'
        f'<rect x="{x}" y="{y}" width="{size}" height="{size}" fill="none" stroke="#888"/>\n'
    )


def text(x, y, words, size=13, anchor="middle", weight="normal"):
    return (f'<text x="{x}" y="{y}" font-size="{size}" text-anchor="{anchor}" '
            f'font-weight="{weight}" fill="#333">{words}</text>\n')


def arrow(x, y, label):
    line = f'<path d="M{x} {y}h58m-6 -4l6 4l-6 4" fill="none" stroke="#333"/>\n'
    return line + text(x + 29, y - 8, label, 12)


def main():
    model, weights = read(MODEL)
    sites = {node["name"]: node["op"].get("site") for node in model["graph"]["nodes"]}
    image = picture()
    means = model["preprocessing"]["mean"]
    pixels = [[[p - means[c] for p in row] for row in image[c]] for c in range(3)]
    levels = quant_relu(convolve(pixels, "stem.conv", weights), "stem.act", weights)
    # The channel that has every level, and about half of its neurons active.
    values = [[v for row in plane for v in row] for plane in levels]
    wanted = lambda v: 10_000 * len(set(v)) - abs(sum(x > 0 for x in v) - 500)
    shown = max(range(len(levels)), key=lambda c: wanted(values[c]))
    plane = lambda k: [[[int(v > k) for v in row] for row in channel] for channel in levels]
    planes = [plane(k) for k in range(LEVELS)]
    # "Integrate, then fire" of docs/book/src/exactness.md: currents of planes add up exactly.
    currents = convolve(levels, "layer1.0.conv1", weights)
    bare = {**weights, "layer1.0.conv1.bias": [0] * 16}
    by_planes = [convolve(plane, "layer1.0.conv1", bare) for plane in planes]
    for c, bias in enumerate(weights["layer1.0.conv1.bias"]):
        for i in range(SIDE):
            for j in range(SIDE):
                assert sum(plane[c][i][j] for plane in by_planes) + bias == currents[c][i][j]
    site, thresholds = sites["layer1.0.act1"], weights["layer1.0.act1.threshold"]
    spikes = [lif(current, site, thresholds[c]) for c, current in enumerate(currents)]
    fired = max(range(16), key=lambda c: -abs(sum(map(sum, spikes[c][1])) - 260))

    grey = lambda level: ["", "#c9cfd6", "#94a1ae", "#5b6b7b", "#22303d"][level]
    blue, red = (lambda _: "#2166ac"), (lambda _: "#b2182b")
    out = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 860 388" role="img" '
        'font-family="Helvetica, Arial, sans-serif" aria-label="A quantised ReLU of four levels '
        'and the four binary spike planes that it becomes; the spiking neurons behind it fire '
        'alike in both networks.">\n<rect width="860" height="388" fill="#fff"/>\n'
    ]
    colour = lambda i, j: "#" + "".join(f"{image[c][i][j]:02x}" for c in range(3))
    drawn = "".join(f'<path fill="{colour(i, j)}" d="M{j} {i}h1v1h-1z"/>'
                    for i in range(SIDE) for j in range(SIDE))
    out.append(f'<defs><g id="image" shape-rendering="crispEdges">{drawn}</g></defs>\n')
    titles = "Trains as a hybrid: ReLU and spiking neurons", "Runs as spikes only"
    for top, title in zip((40, 230), titles):
        out.append(text(20, top - 14, title, 16, "start", "bold"))
        out.append(f'<use href="#image" transform="translate(20 {top}) scale(4)"/>\n')
        out.append(text(84, top + 146, "pixels"))
        out.append(arrow(158, top + 64, "conv"))
        out.append(arrow(528, top + 64, "conv"))
        for step, frame in enumerate(spikes[fired]):
            out.append(tile(frame, 600 + 130 * step, top + 4, 3.75, red))
        count = sum(sum(map(sum, frame)) for frame in spikes[fired])
        out.append(text(722, top + 146, f"LIF neurons at t = 1 and 2: {count} spikes"))
    out.append(tile(levels[shown], 308, 40, 4, grey))
    out.append(text(372, 186, "quantised ReLU: integers 0 to 4"))
    for k in range(LEVELS):
        out.append(tile(planes[k][shown], 230 + 72 * k, 260, 2.0625, blue))
    events = sum(sum(map(sum, plane[shown])) for plane in planes)
    out.append(text(371, 352, "the same integers as four binary planes:"))
    out.append(text(371, 370, f"{events} spikes that add up to them exactly"))
    out.append("</svg>\n")
    print("".join(out), end="")


main()
