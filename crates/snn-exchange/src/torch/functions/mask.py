def mask(m, x):
    """x where the mask has a spike (eq. 6b); a channel of m is for a group of channels of x."""
    return m.repeat_interleave(x.shape[1] // m.shape[1], 1) * x
