"""Converted spiking networks on NumPy arrays and events of cameras: spikes in, additions, spikes
out. The bits are those of the Rust runtime, on every machine.

>>> import numpy as np, snn
>>> model = snn.Model("models/cifar10-hybrid/model.safetensors")
>>> image = np.zeros((3, 32, 32), np.uint8)
>>> model.classes[model.classify(image)] == model.run(image).best(1)[0].name
True
"""

from ._native import InputError, Model, ModelError, Scores, Session, SnnError, State, windows
from ._results import Counts, NodeCounts, NodePlan, NodeStatistics, Prediction
from ._train import Run, TrainingError, train

__all__ = [
    "Counts",
    "InputError",
    "Model",
    "ModelError",
    "NodeCounts",
    "NodePlan",
    "NodeStatistics",
    "Prediction",
    "Run",
    "Scores",
    "Session",
    "SnnError",
    "State",
    "TrainingError",
    "train",
    "windows",
]
