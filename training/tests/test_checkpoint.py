"""The optimiser against PyTorch's own, which differs only in the precision of its iteration; means of weights against sums."""

import pytest
import torch

from training.checkpoint import Mean, Muon, Team, average


@pytest.mark.parametrize("shape", [(32, 32), (32, 96), (96, 32)])
def test_muon_is_pytorchs(shape):
    torch.manual_seed(1)
    ours, theirs = (torch.nn.Parameter(torch.randn(shape)) for _ in range(2))
    theirs.data.copy_(ours.data)
    one = Muon([{"params": [ours]}], lr=0.02, weight_decay=0.01, team=Team(0, 1))
    other = torch.optim.Muon([theirs], lr=0.02, weight_decay=0.01, momentum=0.95, adjust_lr_fn="match_rms_adamw")
    before = ours.detach().clone()
    for _ in range(5):
        gradient = torch.randn(shape)
        for parameter, optimiser in ((ours, one), (theirs, other)):
            parameter.grad = gradient.clone()
            optimiser.step()
    moved = (theirs - before).norm()
    assert (ours - theirs).norm() < 0.04 * moved  # both iterate in bf16, which has three digits


def test_mean_weighs_late_steps_most():
    model, places = torch.nn.Linear(3, 2), []
    mean = Mean(model, sharpness=3)
    for step in range(1, 9):
        with torch.no_grad():
            model.weight.copy_(torch.randn(2, 3))
        places.append(model.weight.detach().clone())
        mean.add(model, step)
    shares = [(step / 8) ** 4 - ((step - 1) / 8) ** 4 for step in range(1, 9)]
    wanted = sum(share * place for share, place in zip(shares, places))
    assert torch.allclose(mean.tensors["weight"], wanted, atol=1e-6)


def test_average_is_between_its_models():
    one, other = {"w": torch.tensor([1.0, 5.0]), "n": torch.tensor(3)}, {"w": torch.tensor([2.0, -1.0]), "n": torch.tensor(3)}
    got = average([one, other])
    assert got["w"].tolist() == [1.5, 2.0] and got["n"].dtype == torch.int64 and int(got["n"]) == 3
