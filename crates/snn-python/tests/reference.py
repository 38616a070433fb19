"""The C interface, as what the wheel must agree with to the bit."""

import ctypes
import os
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[3]
CIFAR10 = ROOT / "models/cifar10-hybrid/model.safetensors"
CIFAR100 = ROOT / "fixtures/resnet20-cifar100-int8.safetensors"


def images(count, seed=1):
    """Made-up pictures of 32x32."""
    return np.random.default_rng(seed).integers(0, 256, (count, 3, 32, 32), np.uint8)


def sums(path, batch):
    """The sums of the head of each image, by `libsnn`."""
    library = ctypes.CDLL(os.environ["SNN_LIBRARY"])
    pointer, size = ctypes.c_void_p, ctypes.c_size_t
    library.snn_model_classes.argtypes, library.snn_model_classes.restype = [pointer], size
    batch_types = [pointer, pointer, size, size, pointer, pointer, size]
    library.snn_model_run_batch.argtypes = batch_types
    library.snn_model_free.argtypes, library.snn_model_free.restype = [pointer], None
    model = pointer()
    assert library.snn_model_load(os.fsencode(path), None, ctypes.byref(model)) == 0
    batch = np.ascontiguousarray(batch)
    found = np.empty((len(batch), library.snn_model_classes(model)), np.int64)
    status = library.snn_model_run_batch(
        model, batch.ctypes.data, batch.size, len(batch), found.ctypes.data, None, found.size
    )
    assert status == 0, status
    library.snn_model_free(model)
    return found
