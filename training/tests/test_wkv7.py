"""The compiled recurrence and its gradient against the reference, at row counts around the chunk size."""

import pytest
import torch

from training.wkv7 import wkv7, wkv7_reference


def random_inputs(rows):
    """r w k v a b, each [2, rows, 3, 64]; w in (0.5, 1); a, b as RWKV-7 makes them from a unit key."""
    torch.manual_seed(rows)
    shape = (2, rows, 3, 64)
    key = torch.nn.functional.normalize(torch.randn(shape), dim=-1)
    inputs = [torch.randn(shape), 0.5 + 0.5 * torch.rand(shape), torch.randn(shape), torch.randn(shape)]
    inputs += [-key, key * torch.rand(shape)]
    return [x.requires_grad_() for x in inputs]


@pytest.mark.parametrize("rows", [1, 15, 16, 17, 50])
def test_forward_and_gradient_match_the_reference(rows):
    inputs = random_inputs(rows)
    weight = torch.randn(2, rows, 3, 64)
    fast = wkv7(*inputs)
    fast_grads = torch.autograd.grad((fast * weight).sum(), inputs)
    slow = wkv7_reference(*inputs)[0]
    slow_grads = torch.autograd.grad((slow * weight).sum(), inputs)
    torch.testing.assert_close(fast, slow, rtol=1e-4, atol=1e-4)
    for one, other in zip(fast_grads, slow_grads):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-3)
