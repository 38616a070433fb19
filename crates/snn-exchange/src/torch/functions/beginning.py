"""A spiking network in integers, as plain operations of torch.

    python model.py image.npy

prints for each image the integer scores of the classes and the logits that they stand for. The
file holds uint8 pixels: one image [C, H, W], a batch [B, C, H, W], or a frame for each macro-step
[T, B, C, H, W]. The weights stand beside this file, under the names of the layers.

Every value is an int64 of shape [B, C, H, W]; a vector of F values is [B, F, 1, 1], a signal of
length L is [B, C, 1, L]. Nothing is rounded anywhere, so the scores do not depend on the order of
sums, the machine or the version of torch. Convolutions and poolings run in float64, which torch has
kernels for, and assert that every partial sum is an integer that float64 holds.

Numbers of equations are those of `docs/semantics.md`. Written by snn-exchange.
"""

import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file

