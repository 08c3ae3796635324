"""Checkpoints and the things every training phase shares: where data lives, pausing, restarting, schedules."""

import math
import os
import time
from dataclasses import asdict
from pathlib import Path

import torch

from training.model import AdapterConfig, BackboneConfig, Earshot, EncoderConfig, mixed_precision


def data_root():
    return Path(os.environ.get("EARSHOT_DATA", Path.home() / ".cache" / "earshot-training"))


def configs(encoder, adapter, backbone):
    """The configuration dictionary that checkpoints and files carry."""
    return {"encoder": asdict(encoder), "adapter": asdict(adapter), "backbone": asdict(backbone)}


def build(config):
    """config of configs() -> a new Earshot."""
    return Earshot(
        EncoderConfig(**config["encoder"]), AdapterConfig(**config["adapter"]), BackboneConfig(**config["backbone"])
    )


def save(path, **content):
    """Write a checkpoint so that a crash leaves the old one."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    torch.save(content, temporary)
    temporary.replace(path)


def load(path):
    return torch.load(path, map_location="cpu", weights_only=False)


def average(states):
    """The mean of several state dictionaries of one model. Runs that began with the same weights and went different ways lie
    around a better place than any of them reached (Wortsman et al. 2022)."""
    return {name: torch.stack([state[name].float() for state in states]).mean(0).to(first.dtype)
            for name, first in states[0].items()}  # fmt: skip


def learnt(saved):
    """What a run's checkpoint has learnt: the mean of its weights along the way where it keeps one."""
    return saved.get("mean") or saved["model"]


class Mean:
    """The mean of a model's weights along its way, of step t with the weight t^sharpness (nearly): the last quarter counts most
    (Karras et al. 2024). Single steps of small batches are noise, and their mean is not."""

    def __init__(self, model, state=None, sharpness=3):
        self.tensors = {name: t.detach().clone() for name, t in (state or model.state_dict()).items()}
        self.sharpness = sharpness

    @torch.no_grad()
    def add(self, model, step):
        """The weights after step `step`, which counts from 1."""
        share = 1 - (1 - 1 / step) ** (self.sharpness + 1)
        for name, t in model.state_dict().items():
            if t.is_floating_point():
                self.tensors[name].lerp_(t, share)


def wait_while_paused():
    """Sleep while the file named by EARSHOT_PAUSE_FILE exists; returns the seconds slept."""
    began, pause = time.time(), os.environ.get("EARSHOT_PAUSE_FILE")
    while pause and os.path.exists(pause):
        time.sleep(1)
    return time.time() - began


class Clock:
    """Training time in seconds, kept over restarts and pauses."""

    def __init__(self, spent=0.0):
        self.spent, self.last = spent, time.time()

    def tick(self):
        self.last += wait_while_paused()
        now = time.time()
        self.spent, self.last = self.spent + now - self.last, now
        return self.spent


class Team:
    """Processes that train one model together, each on its own batches and its own core: gradients are averaged.

    Two such processes of one thread are faster than one of two threads: they meet once a step, not once an operation.
    """

    def __init__(self, rank, size):
        self.rank, self.size = rank, size
        if size > 1:
            os.environ.setdefault("MASTER_ADDR", "127.0.0.1")
            os.environ.setdefault("MASTER_PORT", "29571")
            torch.distributed.init_process_group("gloo", rank=rank, world_size=size)

    def average(self, params, number):
        """Average the gradients of params in place, and a number, which is returned."""
        if self.size == 1:
            return number
        parts = [torch.zeros_like(p) if p.grad is None else p.grad for p in params]
        *means, number = self.sum([*parts, torch.tensor(number, dtype=torch.float32)])
        for p, mean in zip(params, means):
            p.grad = mean / self.size
        return float(number / self.size)

    def sum(self, tensors):
        """The sums of everybody's tensors."""
        flat = torch.cat([tensor.flatten() for tensor in tensors])
        torch.distributed.all_reduce(flat)
        return [part.view_as(tensor) for part, tensor in zip(flat.split([t.numel() for t in tensors]), tensors)]

    def shared(self, function, tensors):
        """[function(tensor)], of the same shapes, each computed by one of us."""
        if self.size == 1:
            return [function(tensor) for tensor in tensors]
        mine = [function(t) if n % self.size == self.rank else torch.zeros_like(t) for n, t in enumerate(tensors)]
        return self.sum(mine)


def run(train, args):
    """train(rank, args) in this process, or in as many as the team has."""
    if args.team > 1:
        torch.multiprocessing.spawn(train, (args,), args.team)
    else:
        train(0, args)


def rate(step, progress, peak, warmup=500, flat=0.3, floor=0.01):
    """Learning rate: linear warm-up in steps, flat, then a cosine to floor * peak as progress goes from `flat` to 1."""
    if progress > flat:
        fall = min((progress - flat) / (1 - flat), 1.0)
        peak *= floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * fall))
    return peak * min(1.0, (step + 1) / warmup)


def adamw(groups, peak, weight_decay):
    """AdamW over [(parameters, share of the learning rate)], decay on matrices only."""
    made = []
    for params, share in groups:
        for decays in (True, False):
            chosen = [p for p in params if (p.ndim >= 2) == decays]
            if chosen:
                made.append({"params": chosen, "share": share, "weight_decay": weight_decay if decays else 0.0})
    return torch.optim.AdamW(made, lr=peak, betas=(0.9, 0.98), eps=1e-8, fused=True)


def optimiser(groups, peak, team=None, weight_decay=0.01):
    """AdamW over [(module, share of the learning rate)]; every process of a team for itself."""
    learning = [([p for p in module.parameters() if p.requires_grad], share) for module, share in groups]
    return adamw(learning, peak, weight_decay)


def orthogonal(x, rounds=5):
    """The orthogonal matrix nearest to x [rows, columns], roughly, by Newton and Schulz's iteration."""
    wide = x if x.shape[0] <= x.shape[1] else x.T
    with mixed_precision():
        wide = wide / wide.norm().clamp(min=1e-7)
        for _ in range(rounds):
            gram = wide @ wide.T
            wide = 3.4445 * wide + (-4.7750 * gram + 2.0315 * gram @ gram) @ wide
    return (wide if x.shape[0] <= x.shape[1] else wide.T).float()


class Muon(torch.optim.Optimizer):
    """Momentum made orthogonal, of the size of AdamW's steps (Jordan et al. 2024; Liu et al. 2025). torch.optim.Muon is
    the same, but iterates in bf16 whatever the processor, and every process of a team for itself."""

    def __init__(self, groups, lr, weight_decay, team, momentum=0.95):
        super().__init__(groups, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})
        self.team = team

    @torch.no_grad()
    def step(self):
        learning = [(group, p) for group in self.param_groups for p in group["params"] if p.grad is not None]
        steps = self.team.shared(orthogonal, [self.direction(p, group["momentum"]) for group, p in learning])
        for (group, p), step in zip(learning, steps):
            p.mul_(1 - group["lr"] * group["weight_decay"])
            p.add_(step, alpha=-group["lr"] * 0.2 * max(p.shape) ** 0.5)

    def direction(self, p, momentum):
        mean = self.state[p].setdefault("momentum", torch.zeros_like(p))
        mean.lerp_(p.grad, 1 - momentum)
        return p.grad.lerp(mean, momentum)


class MuonAndAdamW:
    """Muon for the matrices of hidden layers, AdamW for everything else and for all of `others`, as one optimiser."""

    def __init__(self, groups, peak, team, weight_decay=0.01, others=()):
        hidden, rest = [], [(list(module.parameters()), share) for module, share in others]
        for module, share in groups:
            named = [(name, p) for name, p in module.named_parameters() if p.requires_grad]
            inner = {name for name, p in named if self.is_hidden(name, p)}
            hidden.append({"params": [p for name, p in named if name in inner], "share": share})
            rest.append(([p for name, p in named if name not in inner], share))
        self.hidden = Muon([g for g in hidden if g["params"]], peak, weight_decay, team)
        self.rest = adamw(rest, peak, weight_decay)
        self.param_groups = self.hidden.param_groups + self.rest.param_groups

    @staticmethod
    def is_hidden(name, p):
        return p.ndim == 2 and min(p.shape) >= 32 and not name.startswith(("emb", "head"))

    def step(self):
        self.hidden.step()
        self.rest.step()

    def zero_grad(self, set_to_none=True):
        self.hidden.zero_grad(set_to_none)
        self.rest.zero_grad(set_to_none)

    def state_dict(self):
        return {"hidden": self.hidden.state_dict(), "rest": self.rest.state_dict()}

    def load_state_dict(self, state):
        self.hidden.load_state_dict(state["hidden"])
        self.rest.load_state_dict(state["rest"])
        self.param_groups = self.hidden.param_groups + self.rest.param_groups


def take_step(optimizer, lr, clip=1.0):
    """Clip, step unless a gradient is not finite, clear -> the gradient norm."""
    params = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
    norm = float(torch.nn.utils.clip_grad_norm_(params, clip))
    if math.isfinite(norm):
        for group in optimizer.param_groups:
            group["lr"] = lr * group["share"]
        optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return norm
