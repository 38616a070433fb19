"""Classifies one image: python3 classify.py MODEL [PIXELS], with the library in SNN_LIBRARY.

PIXELS is a file of one byte a value in C, H, W order; without it a picture is made up.
"""

import sys

from snn import Model

model = Model(sys.argv[1])
pixels = bytes(i % 256 for i in range(model.input_size))
if sys.argv[2:]:
    pixels = open(sys.argv[2], "rb").read()
for best in model.run(pixels).best(5):
    print(f"{100 * best.probability:5.1f} % {best.name}")
