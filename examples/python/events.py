"""Runs the events of a camera through a network as they arrive, one window of time after another:

    python3 events.py MODEL MICROS < RECORDING

with the package `snn` installed. RECORDING has N-MNIST's five bytes an event: column, row, polarity
(the highest bit) and 23 bits of time in microseconds, most significant byte first.
"""

import sys

import numpy as np
import snn


def read(stream):
    """The events of a stream of bytes: (x, y, t, p) each."""
    while record := stream.read(5):
        if len(record) < 5:
            raise SystemExit(f"the last event is cut: {len(record)} of 5 bytes")
        x, y, high, middle, low = record
        yield x, y, (high & 0x7F) << 16 | middle << 8 | low, high >> 7


def windows(events, micros):
    """The events of each window, with its end; windows without events, too: neurons leak."""
    window, until = [], None
    for event in events:
        t = event[2]
        until = t + micros if until is None else until
        if t < until - micros:
            raise SystemExit(f"an event at {t} us, after the window before it was complete")
        while t >= until:
            yield window, until
            window, until = [], until + micros
        window.append(event)
    if until is not None:
        yield window, until


session = snn.Model(sys.argv[1]).session()
for window, until in windows(read(sys.stdin.buffer), int(sys.argv[2])):
    x, y, t, p = np.array(window, np.int64).reshape(-1, 4).T
    best = session.push_events((x, y, t, p)).best(1)[0]
    guess = f"{100 * best.probability:5.1f} % {best.name}"
    print(f"{until} us, {len(window)} events: {guess}", flush=True)
