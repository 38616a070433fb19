def scale(w, name, x):
    """A one-to-one synapse (eq. 12): J = w * x."""
    return channel(w, name + ".weight") * x
