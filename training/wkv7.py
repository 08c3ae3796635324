"""RWKV-7's recurrence for training: the compiled kernel (wkv7.cpp) and a slow, obvious reference."""

import functools
from pathlib import Path

import torch


@functools.cache
def _kernel():
    from torch.utils.cpp_extension import load

    flags = ["-O3", "-march=native", "-fopenmp", "-ffast-math"]
    return load("earshot_wkv7", [str(Path(__file__).with_name("wkv7.cpp"))], extra_cflags=flags, extra_ldflags=["-fopenmp"])


class _Wkv7(torch.autograd.Function):
    @staticmethod
    def forward(ctx, *inputs):
        y, states = _kernel().forward(inputs)
        ctx.save_for_backward(states, *inputs)
        return y

    @staticmethod
    def backward(ctx, dy):
        states, *inputs = ctx.saved_tensors
        return tuple(_kernel().backward(inputs, states, dy.contiguous()))


def wkv7(r, w, k, v, a, b):
    """S = S diag(w) + (S a) b^T + v k^T; y = S r. All [batch, rows, heads, 64]; float32 inside -> [.., 64] float32."""
    return _Wkv7.apply(*(x.float().contiguous() for x in (r, w, k, v, a, b)))


def wkv7_reference(r, w, k, v, a, b, state=None):
    """The same in plain PyTorch, for any head size -> (y, state [batch, heads, N, N])."""
    batch, rows, heads, n = r.shape
    state = r.new_zeros(batch, heads, n, n) if state is None else state
    y = []
    for t in range(rows):
        sa = torch.einsum("bhij,bhj->bhi", state, a[:, t])
        state = (
            state * w[:, t, :, None, :]
            + sa[..., None] * b[:, t, :, None, :]
            + v[:, t, :, :, None] * k[:, t, :, None, :]
        )
        y.append(torch.einsum("bhij,bhj->bhi", state, r[:, t]))
    return torch.stack(y, 1), state
