def sum_pool(x, kernel, stride=(1, 1), pads=(0, 0, 0, 0)):
    """The sum over each window (eq. 5)."""
    assert x.abs().max() * kernel[0] * kernel[1] < EXACT
    x = F.pad(x.double(), pads)
    return F.avg_pool2d(x, kernel, stride, divisor_override=1).long()
