def linear(w, name, x):
    """A fully connected layer (eq. 12): J = M * sum(n * x) + b."""
    n = w[name + ".weight"].double()
    assert n.abs().sum(1).max() * x.abs().max() < EXACT
    J = F.linear(x.flatten(1).double(), n).long()[:, :, None, None]
    J = J * channel(w, name + ".multiplier")
    return J + channel(w, name + ".bias") if name + ".bias" in w else J
