"""Classifies one image with a model on the grid, through the C interface and nothing but the standard library.

    python3 classify.py LIBRARY MODEL [PIXELS]

LIBRARY is libsnn.so; PIXELS is a file of one byte a value in C, H, W order; without it a picture is made up.
"""

import ctypes
import sys
from ctypes import POINTER, byref, c_char_p, c_double, c_int32, c_int64, c_size_t, c_void_p


class SnnError(Exception):
    """A call that failed, with the library's own words."""


class Library:
    """The functions that are used here, with their types: without them ctypes would cut pointers to 32 bits."""

    def __init__(self, path):
        self.snn = ctypes.CDLL(path)
        status, size = self._status, c_size_t
        for name, (result, arguments) in {
            "version": (c_char_p, []),
            "last_error": (c_char_p, []),
            "model_load": (status, [c_char_p, c_void_p, POINTER(c_void_p)]),
            "model_free": (None, [c_void_p]),
            "model_input_size": (size, [c_void_p]),
            "model_time_steps": (size, [c_void_p]),
            "model_classes": (size, [c_void_p]),
            "model_class_name": (c_char_p, [c_void_p, size]),
            "session_new": (status, [c_void_p, POINTER(c_void_p)]),
            "session_free": (None, [c_void_p]),
            "session_run": (status, [c_void_p, c_char_p, size]),
            "session_push": (status, [c_void_p, c_void_p, c_char_p, size]),
            "session_class": (status, [c_void_p, POINTER(size)]),
            "session_sums": (status, [c_void_p, POINTER(c_int64), size]),
            "session_logits": (status, [c_void_p, POINTER(c_double), size]),
            "state_new": (status, [c_void_p, POINTER(c_void_p)]),
            "state_free": (None, [c_void_p]),
        }.items():
            function = getattr(self.snn, "snn_" + name)
            function.argtypes = arguments
            if result is status:
                function.restype, function.errcheck = c_int32, status
            else:
                function.restype = result
            setattr(self, name, function)

    def _status(self, status, _function, arguments):
        if status != 0:
            raise SnnError(self.last_error().decode())
        return arguments


def main():
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    snn = Library(sys.argv[1])
    model, session, state = c_void_p(), c_void_p(), c_void_p()
    snn.model_load(sys.argv[2].encode(), None, byref(model))
    size, classes = snn.model_input_size(model), snn.model_classes(model)
    if len(sys.argv) == 4:
        with open(sys.argv[3], "rb") as file:
            pixels = file.read()
    else:
        pixels = bytes(i % 256 for i in range(size))

    def show(what):
        best, sums, logits = c_size_t(), (c_int64 * classes)(), (c_double * classes)()
        snn.session_class(session, byref(best))
        snn.session_sums(session, sums, classes)
        snn.session_logits(session, logits, classes)
        name = (snn.model_class_name(model, best) or b"").decode()
        print(f"{what}: class {best.value} {name}, sum {sums[best.value]}, logit {logits[best.value]:.4f}")

    snn.session_new(model, byref(session))
    snn.session_run(session, pixels, len(pixels))
    show("image")
    snn.state_new(session, byref(state))
    for _ in range(snn.model_time_steps(model)):
        snn.session_push(session, state, pixels, len(pixels))
    show("stream")
    snn.state_free(state)
    snn.session_free(session)
    snn.model_free(model)


if __name__ == "__main__":
    try:
        main()
    except SnnError as error:
        sys.exit(str(error))
