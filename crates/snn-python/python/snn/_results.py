"""Results that are plain tuples: they can be pickled, compared and unpacked."""

from typing import List, NamedTuple, Optional


class Prediction(NamedTuple):
    """A class with its probability."""

    class_index: int
    """Position of the class among the logits."""
    name: Optional[str]
    """Name of the class, if the model has one."""
    probability: float
    """Softmax of the logits."""


class NodeCounts(NamedTuple):
    """Operations of one node over all samples that were counted."""

    node: str
    """Name of the node."""
    op: str
    """Its operation."""
    neurons: int
    """Neurons of a site; 0 for anything else."""
    events: int
    """Spikes sent, plane by plane; one that goes to several readers is one."""
    additions: int
    """Weights added: spikes times real fan-out."""
    multiplications: int
    """Pixels and graded payloads times weights."""
    comparisons: int
    """Comparisons with thresholds, of max pools and of masks."""
    neuron_updates: int
    """Neurons updated, one for each macro-step."""
    rescalings: int
    """Multipliers other than 1 that were applied to an accumulator."""
    sums: int
    """Additions without a weight: biases, adds and sum pools of currents."""
    micro_steps: int
    """Planes that a site sent, empty ones too."""

    @property
    def firing_rate(self) -> Optional[float]:
        """Spikes for each neuron and macro-step; None of a node that is no site."""
        return self.events / self.neuron_updates if self.neuron_updates else None


class Counts(NamedTuple):
    """Operations of a network over some samples."""

    samples: int
    """Number of samples."""
    time_steps: int
    """Macro-steps T of one."""
    nodes: List[NodeCounts]
    """Every node, in the order of the graph."""
    total: NodeCounts
    """Sum over all nodes."""


class NodeStatistics(NamedTuple):
    """What one node of a session did since its statistics were reset."""

    node: str
    """Name of the node."""
    nanoseconds: int
    """Time that it took, with the synapses that it sums up itself."""
    runs: int
    """Times it ran; 0 of one that another node computes on the way."""
    active: int
    """Values that were not zero, of a node that sends spikes."""
    values: int
    """Values that could have been."""

    @property
    def density(self) -> Optional[float]:
        """Share of the values that were not zero; None of a node that sends no spikes."""
        return self.active / self.values if self.values else None


class NodePlan(NamedTuple):
    """How a model runs one node on this machine."""

    node: str
    """Name of the node."""
    op: str
    """Its operation."""
    form: str
    """How it runs; synapses that it sums up itself, and their form."""
    weight_bytes: int
    """Bytes of packed weights."""
