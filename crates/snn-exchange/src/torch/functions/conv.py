def conv(w, name, x, stride=(1, 1), pads=(0, 0, 0, 0), dilation=(1, 1), groups=1):
    """A convolution (eq. 12): J = M * sum(n * x) + b. `pads` are left, right, top, bottom."""
    n = w[name + ".weight"].double()
    if n.dim() == 3:  # over one axis
        n = n[:, :, None, :]
    assert n.abs().flatten(1).sum(1).max() * x.abs().max() < EXACT
    x = F.pad(x.double(), pads)
    J = F.conv2d(x, n, stride=stride, dilation=dilation, groups=groups).long()
    J = J * channel(w, name + ".multiplier")
    return J + channel(w, name + ".bias") if name + ".bias" in w else J
