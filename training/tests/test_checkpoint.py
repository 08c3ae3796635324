"""The optimiser against PyTorch's own, which differs only in the precision of its iteration."""

import pytest
import torch

from training.checkpoint import Muon, Team


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
