def channel(w, name):
    """A weight of one value for each channel."""
    return w[name].long().view(1, -1, 1, 1)
