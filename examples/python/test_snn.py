"""Checks of `snn.py` on a model: python3 test_snn.py MODEL, with the library in SNN_LIBRARY."""

import sys

from snn import Model, SnnError

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

floats = memoryview(pixels).cast("f")
for wrong in [lambda: Model("absent"), lambda: model.run(b"123"), lambda: model.run(floats)]:
    try:
        wrong()
    except SnnError as error:
        assert str(error)
    else:
        raise AssertionError("wrong input was taken")
