"""Classifies one image: python3 classify.py MODEL [PIXELS], with the package `snn` installed.

PIXELS is a file of one byte a value in C, H, W order; without it a picture is made up.
"""

import math
import sys

import numpy as np
import snn

model = snn.Model(sys.argv[1])
pixels = np.resize(np.arange(256, dtype=np.uint8), math.prod(model.input_shape))
if sys.argv[2:]:
    pixels = np.fromfile(sys.argv[2], np.uint8)
for best in model.run(pixels).best(5):
    print(f"{100 * best.probability:5.1f} % {best.name}")
