"""Spiking networks in Python: the C interface `libsnn`, through the standard library alone.

    from snn import Model
    print(Model("model.safetensors").classify(pixels))

The library is named by the variable SNN_LIBRARY, or found where the linker looks for `snn`; build
it with `cargo build --release -p snn-capi`. Pixels are bytes in C, H, W order, or an array of
bytes such as a NumPy array of uint8, whose last axes must be these, a single channel perhaps left
out (28×28 for 1×28×28); they are not normalised. A
model and its sessions may be used by a child of `os.fork`, as `multiprocessing` makes them on
Linux, also after the parent used them; threads are made again there.
"""

import ctypes
import ctypes.util
import os
from ctypes import POINTER, byref, c_char_p, c_double, c_int32, c_int64, c_size_t, c_void_p
from ctypes import c_uint8, c_uint16
from typing import NamedTuple, Optional


class SnnError(Exception):
    """A call that failed, with the library's own words."""


class Prediction(NamedTuple):
    """A class with its name, if it has one, and its probability (softmax of the logits)."""

    class_index: int
    name: Optional[str]
    probability: float


class Event(NamedTuple):
    """One event of a camera: time in microseconds, column, row, and 1 for ON or 0 for OFF."""

    t: int
    x: int
    y: int
    polarity: int


class _Event(ctypes.Structure):
    _fields_ = [("t", c_int64), ("x", c_uint16), ("y", c_uint16), ("polarity", c_uint8)]


class _Prediction(ctypes.Structure):
    _fields_ = [("class_index", c_size_t), ("name", c_char_p), ("probability", c_double)]

    def python(self):
        name = None if self.name is None else self.name.decode()
        return Prediction(self.class_index, name, self.probability)


class Scores(NamedTuple):
    """Results of one run. `sums` are integers, equal on every machine."""

    sums: list
    logits: list
    probabilities: list
    predictions: list

    def best(self, count=5):
        """The best classes, the best first."""
        return self.predictions[:count]


def _load():
    path = os.environ.get("SNN_LIBRARY") or ctypes.util.find_library("snn")
    if path is None:
        raise SnnError(
            "libsnn was not found: build it with `cargo build --release -p snn-capi` and name its "
            "file (target/release/libsnn.so) in the variable SNN_LIBRARY"
        )
    snn, size, handle = ctypes.CDLL(path), c_size_t, c_void_p
    # Without these types ctypes would cut pointers to 32 bits.
    for name, result, *arguments in [
        ("last_error", c_char_p),
        ("model_load", None, c_char_p, handle, POINTER(handle)),
        ("model_free", None, handle),
        ("model_input_size", size, handle),
        ("model_input_shape", size, handle, POINTER(c_size_t), size),
        ("model_time_steps", size, handle),
        ("model_classes", size, handle),
        ("model_class_name", c_char_p, handle, size),
        ("model_classify", None, handle, c_char_p, size, POINTER(_Prediction)),
        ("session_new", None, handle, POINTER(handle)),
        ("session_free", None, handle),
        ("session_run", None, handle, c_char_p, size),
        ("session_run_frames", None, handle, c_char_p, size),
        ("session_run_events", None, handle, POINTER(_Event), size, POINTER(size), size),
        ("session_push", None, handle, handle, c_char_p, size),
        ("session_push_events", None, handle, handle, POINTER(_Event), size),
        ("session_sums", None, handle, POINTER(c_int64), size),
        ("session_logits", None, handle, POINTER(c_double), size),
        ("session_probabilities", None, handle, POINTER(c_double), size),
        ("session_best", None, handle, POINTER(_Prediction), size),
        ("state_new", None, handle, POINTER(handle)),
        ("state_free", None, handle),
    ]:
        function = getattr(snn, "snn_" + name)
        function.argtypes, function.restype = arguments, result
        if result is None and not name.endswith("_free"):

            def check(status, _function, found):
                if status != 0:
                    raise SnnError(snn.snn_last_error().decode())
                return found

            function.restype, function.errcheck = c_int32, check
    return snn


def _bytes(pixels, shape):
    view = memoryview(pixels)
    # Arrays say their axes: the last ones must be the model's, so that H, W, C is not read as
    # C, H, W. Plain bytes, and arrays of one axis, are taken in order. The axis of a single channel
    # changes no order and may be absent.
    found, axes = tuple(view.shape), len(shape)
    fits = found[-axes:] == shape or (shape[0] == 1 and found[1 - axes :] == shape[1:])
    if view.ndim > 1 and not fits:
        hint = "; pixels in H, W, C order need transposing to C, H, W"
        hint = hint if sorted(found[-axes:]) == sorted(shape) else ""
        raise SnnError(f"pixels: expected an array of shape {tuple(shape)}, found {found}{hint}")
    if view.format != "B":
        raise SnnError(f"pixels must be bytes of 0 to 255, found values of format {view.format!r}")
    return view.tobytes()


def _events(events):
    """Events as an array of the library's structures."""
    events = list(events)
    for t, x, y, polarity in events:
        # Structures would keep the lowest bits of what does not fit.
        if not (0 <= x < 1 << 16 and 0 <= y < 1 << 16 and -(1 << 63) <= t < 1 << 63):
            raise SnnError(f"an event needs x and y from 0 to 65535, found x {x}, y {y}, t {t}")
        # The -1 of other libraries would be ON.
        if polarity not in (0, 1):
            raise SnnError(f"an event has polarity 1 for ON or 0 for OFF, found {polarity}")
    return (_Event * len(events))(*(_Event(t, x, y, bool(p)) for t, x, y, p in events))


class Model:
    """A converted model, compiled for this machine."""

    def __init__(self, path):
        self._snn, self._handle = _load(), c_void_p()
        self._snn.snn_model_load(os.fsencode(path), None, byref(self._handle))
        count = self._snn.snn_model_classes(self._handle)
        names = [self._snn.snn_model_class_name(self._handle, i) for i in range(count)]
        self.classes = [None if name is None else name.decode() for name in names]
        self.input_size = self._snn.snn_model_input_size(self._handle)
        self.time_steps = self._snn.snn_model_time_steps(self._handle)
        axes = self._snn.snn_model_input_shape(self._handle, None, 0)
        shape = (c_size_t * axes)()
        self._snn.snn_model_input_shape(self._handle, shape, axes)
        self.input_shape = tuple(shape)

    def __del__(self):
        if getattr(self, "_handle", None):
            self._snn.snn_model_free(self._handle)

    def classify(self, pixels):
        """The best class of one image."""
        pixels, best = _bytes(pixels, self.input_shape), _Prediction()
        self._snn.snn_model_classify(self._handle, pixels, len(pixels), byref(best))
        return best.python()

    def session(self):
        """Buffers for one sample after another, on one thread at a time."""
        return Session(self)

    def run(self, pixels):
        """All scores of one image."""
        return self.session().run(pixels)


class Session:
    """The buffers with which one thread at a time runs samples."""

    def __init__(self, model):
        self.model, self._snn, self._handle = model, model._snn, c_void_p()
        self._snn.snn_session_new(model._handle, byref(self._handle))
        self._state = None

    def __del__(self):
        if getattr(self, "_state", None):
            self._snn.snn_state_free(self._state)
        if getattr(self, "_handle", None):
            self._snn.snn_session_free(self._handle)

    def run(self, pixels):
        """Runs one image, shown at every macro-step, or encoded if the model has an encoder."""
        pixels = _bytes(pixels, self.model.input_shape)
        self._snn.snn_session_run(self._handle, pixels, len(pixels))
        return self._scores()

    def run_frames(self, frames):
        """Runs one sample with a frame for each macro-step, encoded if the model has an encoder."""
        frames = _bytes(frames, self.model.input_shape)
        self._snn.snn_session_run_frames(self._handle, frames, len(frames))
        return self._scores()

    def run_events(self, slices):
        """Runs one recording of a camera, cut into as many slices of events as there are
        macro-steps; see `Event`. The events of a slice are counted by polarity and pixel."""
        slices = [list(events) for events in slices]
        ends, end = [], 0
        for events in slices:
            end += len(events)
            ends.append(end)
        events = _events(event for events in slices for event in events)
        ends = (c_size_t * len(ends))(*ends)
        self._snn.snn_session_run_events(self._handle, events, len(events), ends, len(ends))
        return self._scores()

    def push(self, frame):
        """One macro-step of a stream, of any length; the scores are those so far."""
        frame = _bytes(frame, self.model.input_shape)
        self._snn.snn_session_push(self._handle, self._stream(), frame, len(frame))
        return self._scores()

    def push_events(self, events):
        """One macro-step of a stream of events: those since the last push."""
        events = _events(events)
        self._snn.snn_session_push_events(self._handle, self._stream(), events, len(events))
        return self._scores()

    def restart(self):
        """The next push begins a new stream."""
        if self._state is not None:
            self._snn.snn_state_free(self._state)
            self._state = None

    def _stream(self):
        """The state of the stream, at rest before the first push."""
        if self._state is None:
            state = c_void_p()
            self._snn.snn_state_new(self._handle, byref(state))
            self._state = state
        return self._state

    def _scores(self):
        count = len(self.model.classes)
        sums, best = (c_int64 * count)(), (_Prediction * count)()
        logits, probabilities = (c_double * count)(), (c_double * count)()
        self._snn.snn_session_sums(self._handle, sums, count)
        self._snn.snn_session_logits(self._handle, logits, count)
        self._snn.snn_session_probabilities(self._handle, probabilities, count)
        self._snn.snn_session_best(self._handle, best, count)
        predictions = [one.python() for one in best]
        return Scores(list(sums), list(logits), list(probabilities), predictions)
