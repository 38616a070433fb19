"""Checks of `snn.py` on a model: python3 test_snn.py MODEL, with the library in SNN_LIBRARY."""

import os
import sys

from snn import Model, SnnError, _bytes

model = Model(sys.argv[1])
pixels = bytes(i % 256 for i in range(model.input_size))
session = model.session()
scores = session.run(pixels)

assert len(scores.sums) == len(scores.logits) == len(model.classes)
assert abs(sum(scores.probabilities) - 1) < 1e-12
best = scores.best(3)
assert [one.probability for one in best] == sorted(scores.probabilities, reverse=True)[:3]
assert best[0] == model.classify(pixels) == model.run(bytearray(pixels)).best(1)[0]
assert best[0].name == model.classes[best[0].class_index]
assert scores.sums[best[0].class_index] == max(scores.sums)

# A stream of T equal frames is the image.
for _ in range(model.time_steps):
    streamed = session.push(pixels)
assert streamed == scores == session.run_frames(pixels * model.time_steps)

# Arrays say their axes: H, W, C is not taken for C, H, W.
channels, height, width = model.input_shape
assert model.run(memoryview(pixels).cast("B", model.input_shape)) == scores
try:
    model.run(memoryview(pixels).cast("B", (height, width, channels)))
except SnnError as error:
    assert "H, W, C order" in str(error), error
else:
    raise AssertionError("an array in another order was taken")

# The axis of a single channel may be left out, of one image and of frames; no other may.
grey, image = (1, 4, 3), pixels[:12]
for shape in [(4, 3), (1, 4, 3), (1, 1, 4, 3)]:
    assert _bytes(memoryview(image).cast("B", shape), grey) == image, shape
for shape in [(2, 4, 3), (2, 1, 4, 3)]:
    assert _bytes(memoryview(pixels[:24]).cast("B", shape), grey) == pixels[:24], shape
for shape, expected in [((3, 4), grey), ((4, 3, 1), grey), ((4, 3), (2, 4, 3))]:
    try:
        _bytes(memoryview(image).cast("B", shape), expected)
    except SnnError as error:
        assert f"shape {expected}, found {shape}" in str(error), error
    else:
        raise AssertionError(f"{shape} was taken for {expected}")

# A child of fork uses what its parent made and used.
if hasattr(os, "fork"):
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        found = session.run(pixels), model.run(pixels), model.classify(pixels)
        os.write(writer, b"same" if found == (scores, scores, best[0]) else b"others")
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reader, 9) == b"same"

floats = memoryview(pixels).cast("f")
for wrong in [lambda: Model("absent"), lambda: model.run(b"123"), lambda: model.run(floats)]:
    try:
        wrong()
    except SnnError as error:
        assert str(error)
    else:
        raise AssertionError("wrong input was taken")
