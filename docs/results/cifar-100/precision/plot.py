"""Draws the training losses of runs over their steps, from the event files in their folders; the standard library is all it needs.

    python plot.py RUNS > loss.svg        (RUNS has the run folders f32-0, …, bf16-2)
"""

import pathlib
import struct
import sys

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 720, 400, 56, 40, 24
# Each point is the mean of so many steps.
MEAN = 12
COLOURS = {"f32": "#1f5fa8", "bf16": "#d2691e"}


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


def fields(data):
    """Numbers and values of a protocol buffer message."""
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        if key & 7 == 0:
            value, at = varint(data, at)
        else:
            length = {1: 8, 5: 4}.get(key & 7)
            if length is None:
                length, at = varint(data, at)
            value, at = data[at : at + length], at + length
        yield key >> 3, value


def losses(path):
    """The values of `train/loss` in an event file."""
    data, at = path.read_bytes(), 0
    while at < len(data):
        (length,) = struct.unpack_from("<Q", data, at)
        event, at = dict(fields(data[at + 12 : at + 12 + length])), at + 16 + length
        for _, value in fields(event.get(5, b"")):
            value = dict(fields(value))
            if value.get(1) == b"train/loss":
                yield struct.unpack("<f", value[2])[0]


def main():
    runs = {}
    for folder in sorted(pathlib.Path(sys.argv[1]).glob("*-[0-9]")):
        values = [value for path in sorted(folder.glob("events.out.tfevents*")) for value in losses(path)]
        runs[folder.name] = [sum(values[i : i + MEAN]) / MEAN for i in range(0, len(values) - MEAN + 1, MEAN)]
    points = max(map(len, runs.values()))
    low, high = min(map(min, runs.values())), max(map(max, runs.values()))
    x = lambda i: LEFT + (WIDTH - LEFT - 16) * i / (points - 1)
    y = lambda loss: TOP + (HEIGHT - TOP - BOTTOM) * (high - loss) / (high - low)
    print(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">')
    print(f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>')
    for i in range(5):
        loss = low + (high - low) * i / 4
        print(f'<path d="M{LEFT} {y(loss):.1f}H{WIDTH - 16}" stroke="#ddd"/><text x="{LEFT - 6}" y="{y(loss) + 4:.1f}" text-anchor="end">{loss:.2f}</text>')
    for i in range(0, points, 13):
        print(f'<text x="{x(i):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{(i + 1) * MEAN}</text>')
    print(f'<text x="{WIDTH / 2}" y="{HEIGHT - 6}" text-anchor="middle">step (each point the mean of {MEAN})</text>')
    for name, values in runs.items():
        line = " ".join(f"{x(i):.1f},{y(value):.1f}" for i, value in enumerate(values))
        print(f'<polyline points="{line}" fill="none" stroke="{COLOURS[name.split("-")[0]]}" stroke-width="1.2" opacity="0.8"/>')
    for i, (name, colour) in enumerate(COLOURS.items()):
        print(f'<text x="{WIDTH - 150}" y="{TOP + 20 + 18 * i}" fill="{colour}">training loss, {name}, three seeds</text>')
    print("</svg>")


main()
