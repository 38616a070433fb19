def quant_relu(w, name, J):
    """The number of thresholds that a current meets (eq. 13): its level."""
    thresholds = w[name + ".thresholds"].long()  # [D, C]
    return sum((J >= threshold.view(1, -1, 1, 1)).long() for threshold in thresholds)
