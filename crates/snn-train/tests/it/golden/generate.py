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


def newton_schulz(gradient, steps):
    """zeropower_via_newtonschulz5 of airbench94_muon.py, in f32 instead of bf16."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = gradient / (gradient.norm() + 1e-7)
    if gradient.size(0) > gradient.size(1):
        x = x.T
    for _ in range(steps):
        s = x @ x.T
        x = a * x + (b * s + c * s @ s) @ x
    return x.T if gradient.size(0) > gradient.size(1) else x


def muon(shape, iterations, nesterov, normalise, weight_decay):
    """A weight after each of five steps, as airbench94_muon's class moves it (`normalise`), or as
    Jordan's published one does."""
    momentum = 0.6
    weight, buffer, values = tensor(shape, 0), torch.zeros(shape), []
    for step in range(5):
        rate = 0.1 / (1 + step)
        gradient = 0.5 * weight + tensor(shape, step + 1)
        buffer = momentum * buffer + gradient
        direction = gradient + momentum * buffer if nesterov else buffer
        update = newton_schulz(direction.reshape(len(weight), -1), iterations)
        if normalise:
            weight = weight * (len(weight) ** 0.5 / weight.norm())
        else:
            weight = weight * (1 - rate * weight_decay)
            update = update * max(1, update.size(0) / update.size(1)) ** 0.5
        weight = weight - rate * update.view(weight.shape)
        values.append(weight.flatten().tolist())
    return {
        "shape": shape,
        "iterations": iterations,
        "nesterov": nesterov,
        "normalise": normalise,
        "weight_decay": weight_decay,
        "values": values,
    }


class LookaheadState:
    """That of airbench's lib_airbench."""

    def __init__(self, weights):
        self.slow = [w.clone() for w in weights]

    def update(self, weights, decay):
        for slow, weight in zip(self.slow, weights):
            slow.lerp_(weight, 1 - decay)
            weight.copy_(slow)


def lookahead(every, decays, total):
    """The weight after each of `total` steps that each add tensor(step); `decays` by step."""
    weight, values = tensor([2, 3], 0), []
    state = LookaheadState([weight])
    for step in range(1, total + 1):
        weight += tensor([2, 3], step)
        if step % every == 0:
            state.update([weight], decays[step])
        if step >= total:
            state.update([weight], 1.0)
        values.append(weight.flatten().tolist())
    return values


def rising(every, decay, power, total):
    decays = (decay**every * (torch.arange(total + 1) / total) ** power).tolist()
    return {
        "every": every,
        "decay": decay,
        "power": power,
        "total": total,
        "values": lookahead(every, decays, total),
    }


def constant(every, alpha, total):
    values = lookahead(every, [1 - alpha] * (total + 1), total)
    return {"every": every, "alpha": alpha, "total": total, "values": values}


def triangle(total, peak, start, end):
    """get_lr of airbench94.py."""
    rise = int(total * peak)

    def factor(step):
        if step < rise:
            frac = step / rise
            return start * (1 - frac) + 1.0 * frac
        frac = (step - rise) / (total - rise)
        return 1.0 * (1 - frac) + end * frac

    make = lambda optimiser: torch.optim.lr_scheduler.LambdaLR(optimiser, factor)
    return {
        "total": total,
        "peak_fraction": peak,
        "start_factor": start,
        "final_factor": end,
        "factors": rates(make, total),
    }


def per_step(temperature, alpha, beta):
    """experiment/cifar/main.py of the code of Yu et al. 2025 (their make_teacher and kd_loss)."""
    scores, teacher = (3 * tensor([3, 4, 5], 3)).requires_grad_(), 2 * tensor([4, 5], 7)
    labels = torch.tensor([0, 3, 2, 4])

    def kd(student, teacher):
        log_student = torch.log_softmax(student / temperature, 1)
        soft = torch.softmax(teacher / temperature, 1)
        loss = torch.nn.functional.kl_div(log_student, soft, reduction="none").sum(1).mean()
        return loss * temperature**2

    right = scores.argmax(dim=2) == labels.unsqueeze(0)
    own = (scores * right.unsqueeze(2)).sum(0) / (right.sum(0).unsqueeze(1) + 1e-8)
    taught = sum(kd(s, teacher) for s in scores) / len(scores)
    by_own = sum(kd(s, own.detach()) for s in scores) / len(scores)
    value = alpha * taught + beta * by_own
    value.backward()
    return {
        "temperature": temperature,
        "alpha": alpha,
        "beta": beta,
        "right": right.sum(0).tolist(),
        "loss": value.item(),
        "gradient": scores.grad.flatten().tolist(),
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
            "cosine_to": [
                {
                    "total": 33,
                    "final_factor": 0.0625,
                    "factors": rates(
                        lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(
                            o, T_max=33, eta_min=0.0625
                        ),
                        33,
                    ),
                }
            ],
            "linear": [
                triangle(97, 0.23, 0.2, 0.07),
                triangle(40, 0.1, 0.2, 0.0),
                triangle(9, 0.0, 0.0, 0.0),
            ],
            "muon": [
                muon([4, 3, 2, 2], 3, True, True, 0.0),
                muon([6, 2, 1, 2], 3, True, True, 0.0),
                muon([8, 3], 5, True, False, 0.1),
                muon([3, 7], 5, False, False, 0.0),
            ],
            "lookahead_rising": [rising(5, 0.95, 3.0, 23), rising(2, 0.8, 1.0, 6)],
            "lookahead_constant": [constant(5, 0.5, 12), constant(1, 0.8, 3)],
            "per_step": [per_step(3.0, 0.2, 0.5), per_step(1.0, 1.0, 0.0), per_step(3.0, 0.0, 1.0)],
            "warm_up_cosine": [warm_up_cosine(4, 20), warm_up_cosine(7, 33)],
            "tet": [tet(0.05, 1.0, 0.0, 1.0), tet(0.3, 0.5, 0.1, 0.7)],
            "distillation": [distillation(1.0), distillation(4.0)],
            "loss": [loss(0.0), loss(0.1)],
        },
        indent=1,
    )
)
