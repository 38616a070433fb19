def max_pool(x, kernel, stride=(1, 1), pads=(0, 0, 0, 0)):
    """The largest value of each window inside of the image (eq. 5)."""
    x = F.pad(x.double(), pads, value=float("-inf"))
    return F.max_pool2d(x, kernel, stride).long()
