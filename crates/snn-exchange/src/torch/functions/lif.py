def saturated(u):
    return u.clamp(-(2**30), 2**30)


def leaked(u, factor):
    """floor(u * k / 2^m): the shift of int64 rounds towards minus infinity."""
    k, m = factor
    return (u * k) >> m


def lif(
    w, name, states, J, leak, f, reset, spike="binary", levels=1, synapse=None, adaptation=None
):
    """One macro-step of leaky integrate-and-fire neurons (eq. 13): the level that they emit."""
    theta = channel(w, name + ".threshold") << f
    if name in states:
        u, i, v = states[name]
    else:  # at rest
        u, i, v = torch.zeros_like(J), torch.zeros_like(J), torch.zeros_like(J)
        if name + ".initial" in w:
            u = u + channel(w, name + ".initial")
    i = saturated(leaked(i, synapse) + (J << f)) if synapse else J << f  # synaptic current
    u = saturated(leaked(u, leak) + i)  # membrane
    edge = theta + v  # threshold, with its adaptation
    if spike == "binary":
        o = (u >= edge).long()
    elif spike == "ternary":
        o = (u >= edge).long() - (u <= -edge).long()
    else:
        o = torch.div(2 * u + edge, 2 * edge, rounding_mode="floor").clamp(0, levels)
    if reset == "hard":
        u = torch.where(o != 0, 0, u)
    elif reset == "soft":
        u = u - theta * o
    if adaptation:
        v = saturated(leaked(v, adaptation) + channel(w, name + ".adaptation") * o.abs())
    states[name] = u, i, v
    return o
