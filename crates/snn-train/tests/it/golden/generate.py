"""Golden values of golden.rs, from PyTorch (torch 2.11.0): python generate.py > values.json"""

import json

import torch


def tensor(shape, phase):
    """A formula instead of a random generator, so that the test can make the same numbers."""
    count = torch.Size(shape).numel()
    return (
        torch.tensor(
            [((i * 37 + phase * 11) % 101) / 50 - 1 for i in range(count)], dtype=torch.float64
        )
        .float()
        .reshape(shape)
    )


def sgd(momentum, nesterov, weight_decay):
    """Parameter after each of five steps.

    The gradients are 0.5·p + tensor(step), the learning rate 0.1/(1 + step).
    """
    parameter = torch.nn.Parameter(tensor([2, 3], 0))
    optimiser = torch.optim.SGD(
        [parameter], lr=0.1, momentum=momentum, nesterov=nesterov, weight_decay=weight_decay
    )
    values = []
    for step in range(5):
        optimiser.param_groups[0]["lr"] = 0.1 / (1 + step)
        optimiser.zero_grad()
        (0.25 * parameter.square() + parameter * tensor([2, 3], step + 1)).sum().backward()
        optimiser.step()
        values.append(parameter.detach().flatten().tolist())
    return values


def adamw(beta1, beta2, eps, weight_decay):
    """As for sgd."""
    parameter = torch.nn.Parameter(tensor([2, 3], 0))
    optimiser = torch.optim.AdamW(
        [parameter], lr=0.1, betas=(beta1, beta2), eps=eps, weight_decay=weight_decay
    )
    values = []
    for step in range(5):
        optimiser.param_groups[0]["lr"] = 0.1 / (1 + step)
        optimiser.zero_grad()
        (0.25 * parameter.square() + parameter * tensor([2, 3], step + 1)).sum().backward()
        optimiser.step()
        values.append(parameter.detach().flatten().tolist())
    return {
        "beta1": beta1,
        "beta2": beta2,
        "eps": eps,
        "weight_decay": weight_decay,
        "values": values,
    }


def clip(limit):
    """Gradients tensor([2, 3], 1) and tensor([4], 2) after clipping."""
    parameters = [torch.nn.Parameter(torch.zeros(2, 3)), torch.nn.Parameter(torch.zeros(4))]
    parameters[0].grad, parameters[1].grad = tensor([2, 3], 1), tensor([4], 2)
    norm = torch.nn.utils.clip_grad_norm_(parameters, limit)
    return {
        "limit": limit,
        "norm": norm.item(),
        "gradients": [p.grad.flatten().tolist() for p in parameters],
    }


def warm_up_cosine(warm_up, total):
    def make(optimiser):
        schedulers = torch.optim.lr_scheduler
        rise = schedulers.LinearLR(
            optimiser, start_factor=1 / warm_up, end_factor=1.0, total_iters=warm_up - 1
        )
        fall = schedulers.CosineAnnealingLR(optimiser, T_max=total - warm_up)
        return schedulers.SequentialLR(optimiser, [rise, fall], milestones=[warm_up])

    return {"warm_up": warm_up, "total": total, "factors": rates(make, total)}


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
        optimiser,
        max_lr=1.0,
        total_steps=steps + 1,
        pct_start=peak_fraction,
        anneal_strategy="cos",
        div_factor=1 / start_factor,
        final_div_factor=start_factor / final_factor,
        cycle_momentum=False,
    )
    # One step more than is used: PyTorch refuses the step after the last. So `total` below is
    # steps + 1.
    return {
        "total": steps + 1,
        "peak_fraction": peak_fraction,
        "start_factor": start_factor,
        "final_factor": final_factor,
        "factors": rates(make, steps),
    }


def loss(smoothing):
    logits = (3 * tensor([4, 5], 3)).requires_grad_()
    labels = torch.tensor([0, 3, 2, 4])
    value = torch.nn.functional.cross_entropy(logits, labels, label_smoothing=smoothing)
    value.backward()
    return {
        "smoothing": smoothing,
        "loss": value.item(),
        "gradient": logits.grad.flatten().tolist(),
    }


def tet(regulariser, target, smoothing, share):
    """Scores of three macro-steps, labels mixed with a second set of them."""
    scores = (3 * tensor([3, 4, 5], 3)).requires_grad_()
    labels, others = torch.tensor([0, 3, 2, 4]), torch.tensor([2, 3, 1, 0])
    entropy = lambda logits, labels: torch.nn.functional.cross_entropy(
        logits, labels, label_smoothing=smoothing
    )
    mean = sum(share * entropy(s, labels) + (1 - share) * entropy(s, others) for s in scores) / 3
    value = (1 - regulariser) * mean + regulariser * torch.nn.functional.mse_loss(
        scores, torch.full_like(scores, target)
    )
    value.backward()
    return {
        "regulariser": regulariser,
        "target": target,
        "smoothing": smoothing,
        "share": share,
        "loss": value.item(),
        "gradient": scores.grad.flatten().tolist(),
    }


def distillation(temperature):
    student, teacher = (3 * tensor([4, 5], 3)).requires_grad_(), 2 * tensor([4, 5], 7)
    soft = [torch.log_softmax(logits / temperature, -1) for logits in (student, teacher)]
    value = temperature**2 * torch.nn.functional.kl_div(
        *soft, reduction="batchmean", log_target=True
    )
    value.backward()
    return {
        "temperature": temperature,
        "loss": value.item(),
        "gradient": student.grad.flatten().tolist(),
    }


print(
    json.dumps(
        {
            "sgd": [
                {"momentum": m, "nesterov": n, "weight_decay": w, "values": sgd(m, n, w)}
                for m, n, w in [
                    (0.0, False, 0.0),
                    (0.9, False, 5e-4),
                    (0.9, True, 5e-4),
                    (0.8, True, 0.1),
                ]
            ],
            "adamw": [
                adamw(0.9, 0.999, 1e-8, 0.0),
                adamw(0.9, 0.999, 1e-8, 0.01),
                adamw(0.8, 0.95, 1e-3, 0.1),
            ],
            "clip": [clip(0.5), clip(1.0), clip(100.0)],
            "one_cycle": [
                one_cycle(20, 0.3, 0.04, 4e-6),
                one_cycle(37, 0.25, 0.1, 0.01),
                one_cycle(5, 0.5, 0.04, 4e-6),
            ],
            "cosine": [
                {
                    "total": n,
                    "factors": rates(
                        lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, T_max=n), n
                    ),
                }
                for n in [10, 33]
            ],
            "warm_up_cosine": [warm_up_cosine(4, 20), warm_up_cosine(7, 33)],
            "tet": [tet(0.05, 1.0, 0.0, 1.0), tet(0.3, 0.5, 0.1, 0.7)],
            "distillation": [distillation(1.0), distillation(4.0)],
            "loss": [loss(0.0), loss(0.1)],
        },
        indent=1,
    )
)
