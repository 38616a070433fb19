"""Golden values of tests/golden.rs, from PyTorch (torch 2.11.0): python generate.py > values.json"""

import json

import torch


def tensor(shape, phase):
    """A formula instead of a random generator, so that the test can make the same numbers."""
    count = torch.Size(shape).numel()
    return torch.tensor([((i * 37 + phase * 11) % 101) / 50 - 1 for i in range(count)], dtype=torch.float64).float().reshape(shape)


def sgd(momentum, nesterov, weight_decay):
    """Parameter after each of five steps with gradients 0.5·p + tensor(step), learning rate 0.1/(1 + step)."""
    parameter = torch.nn.Parameter(tensor([2, 3], 0))
    optimiser = torch.optim.SGD([parameter], lr=0.1, momentum=momentum, nesterov=nesterov, weight_decay=weight_decay)
    values = []
    for step in range(5):
        optimiser.param_groups[0]["lr"] = 0.1 / (1 + step)
        optimiser.zero_grad()
        (0.25 * parameter.square() + parameter * tensor([2, 3], step + 1)).sum().backward()
        optimiser.step()
        values.append(parameter.detach().flatten().tolist())
    return values


def rates(make, steps):
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = make(optimiser)
    values = []
    for _ in range(steps):
        values.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        schedule.step()
    return values


def one_cycle(steps, peak_fraction, start_factor, final_factor):
    make = lambda optimiser: torch.optim.lr_scheduler.OneCycleLR(
        optimiser, max_lr=1.0, total_steps=steps + 1, pct_start=peak_fraction, anneal_strategy="cos",
        div_factor=1 / start_factor, final_div_factor=start_factor / final_factor, cycle_momentum=False)
    # One step more than is used: PyTorch refuses the step after the last. So `total` below is steps + 1.
    return {"total": steps + 1, "peak_fraction": peak_fraction, "start_factor": start_factor, "final_factor": final_factor,
            "factors": rates(make, steps)}


def loss(smoothing):
    logits = (3 * tensor([4, 5], 3)).requires_grad_()
    labels = torch.tensor([0, 3, 2, 4])
    value = torch.nn.functional.cross_entropy(logits, labels, label_smoothing=smoothing)
    value.backward()
    return {"smoothing": smoothing, "loss": value.item(), "gradient": logits.grad.flatten().tolist()}


print(json.dumps({
    "sgd": [{"momentum": m, "nesterov": n, "weight_decay": w, "values": sgd(m, n, w)}
            for m, n, w in [(0.0, False, 0.0), (0.9, False, 5e-4), (0.9, True, 5e-4), (0.8, True, 0.1)]],
    "one_cycle": [one_cycle(20, 0.3, 0.04, 4e-6), one_cycle(37, 0.25, 0.1, 0.01), one_cycle(5, 0.5, 0.04, 4e-6)],
    "cosine": [{"total": n, "factors": rates(lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, T_max=n), n)}
               for n in [10, 33]],
    "loss": [loss(0.0), loss(0.1)],
}, indent=1))
