"""The default model in PyTorch: `stream` encoder, adapter, RWKV-7 backbone.

Parameter names are those of the model file (encoder.*, adapter.*, backbone.*). Matrices are [out, in] except RWKV-7's
LoRA pieces ([in, out], as in public checkpoints); convolution kernels are torch's [out, in, k]; export.py permutes.
Shapes: B batch, F mel frames (100/s), L encoder rows (50/s), R adapter rows, T backbone rows.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from training.wkv7 import wkv7, wkv7_reference


def mixed_precision():
    """Products in bf16 where the processor has them; elsewhere PyTorch's are twenty times as slow as float32's."""
    able = torch.cpu.get_capabilities()
    fast = able.get("amx_bf16") or able.get("avx512_bf16")
    return torch.autocast("cpu", dtype=torch.bfloat16, enabled=bool(fast))


@dataclass
class EncoderConfig:
    dim: int = 256
    layers: int = 5
    heads: int = 4
    ffn: int = 768
    window: int = 64
    conv_kernel: int = 15
    mel_bins: int = 80
    rope_base: float = 10000.0


@dataclass
class AdapterConfig:
    kernel: int = 3
    stride: int = 2
    padding: int = 2


@dataclass
class BackboneConfig:
    vocab: int = 1024
    dim: int = 256
    layers: int = 6
    head_size: int = 64
    ffn: int = 1024
    rank_w: int = 32
    rank_a: int = 32
    rank_v: int = 32
    rank_g: int = 64


def windows(x, kernel, stride):
    """[B, T, C] -> [B, (T - kernel) // stride + 1, kernel * C]: each output row's input rows, one after the other."""
    rows = (x.shape[1] - kernel) // stride + 1
    return torch.cat([x[:, j : j + (rows - 1) * stride + 1 : stride] for j in range(kernel)], dim=-1)


class Conv(nn.Module):
    """A Conv1d over rows [B, T, in] -> [B, T', out], as one matrix product."""

    def __init__(self, fan_in, fan_out, kernel, stride, left, right):
        super().__init__()
        made = nn.Conv1d(fan_in, fan_out, kernel)
        self.weight, self.bias = made.weight, made.bias
        self.kernel, self.stride, self.left, self.right = kernel, stride, left, right

    def forward(self, x):
        x = windows(F.pad(x, (0, 0, self.left, self.right)), self.kernel, self.stride)
        return F.linear(x, self.weight.permute(0, 2, 1).reshape(len(self.weight), -1), self.bias)


def rotary(rows, head_dim, base):
    """Cosines and sines [rows, head_dim / 2] of pos * base^(-2i / head_dim)."""
    rate = base ** (-torch.arange(0, head_dim, 2) / head_dim)
    angle = torch.arange(rows)[:, None] * rate
    return angle.cos(), angle.sin()


def rotate(x, cos, sin):
    """Rotate the pairs (i, i + d/2) of x [B, heads, T, d]."""
    one, two = x.chunk(2, dim=-1)
    return torch.cat([one * cos - two * sin, two * cos + one * sin], dim=-1)


class Attention(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.heads = config.heads
        self.q = nn.Linear(config.dim, config.dim)
        self.k = nn.Linear(config.dim, config.dim, bias=False)
        self.v = nn.Linear(config.dim, config.dim)
        self.out = nn.Linear(config.dim, config.dim)

    def forward(self, x, mask, turn):
        q, k, v = (f(x).unflatten(-1, (self.heads, -1)).transpose(1, 2) for f in (self.q, self.k, self.v))
        q, k = rotate(q, *turn), rotate(k, *turn)
        scores = (q * q.shape[-1] ** -0.5) @ k.transpose(2, 3) + mask
        return self.out((scores.softmax(-1).to(v.dtype) @ v).transpose(1, 2).flatten(2))


class Depthwise(nn.Module):
    """Causal depthwise convolution over rows [B, L, E]."""

    def __init__(self, dim, kernel):
        super().__init__()
        made = nn.Conv1d(dim, dim, kernel, groups=dim)
        self.weight, self.bias = made.weight, made.bias

    def forward(self, x):
        kernel = self.weight.shape[2]
        x = F.pad(x.transpose(1, 2), (kernel - 1, 0))
        return F.conv1d(x, self.weight, self.bias, groups=len(self.weight)).transpose(1, 2)


class ConvModule(nn.Module):
    """Gated pointwise, causal depthwise, SiLU, pointwise."""

    def __init__(self, config):
        super().__init__()
        self.add_module("in", nn.Linear(config.dim, 2 * config.dim))
        self.dw = Depthwise(config.dim, config.conv_kernel)
        self.out = nn.Linear(config.dim, config.dim)

    def forward(self, x):
        return self.out(F.silu(self.dw(F.glu(getattr(self, "in")(x), dim=-1))))


class EncoderBlock(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.ln1, self.ln2, self.ln3 = (nn.LayerNorm(config.dim) for _ in range(3))
        self.attn = Attention(config)
        self.conv = ConvModule(config)
        self.ffn = nn.Sequential(nn.Linear(config.dim, config.ffn), nn.GELU(), nn.Linear(config.ffn, config.dim))

    def forward(self, x, mask, turn, dropout):
        x = x + F.dropout(self.attn(self.ln1(x), mask, turn), dropout, self.training)
        x = x + F.dropout(self.conv(self.ln2(x)), dropout, self.training)
        return x + F.dropout(self.ffn(self.ln3(x)), dropout, self.training)


class Encoder(nn.Module):
    """mel [B, F, 80] (log10 power, (x + 4) / 4) -> rows [B, F // 2, E]. Causal: padding after a clip does not matter."""

    def __init__(self, config, mean=None, scale=None, dropout=0.0):
        super().__init__()
        self.config, self.dropout = config, dropout
        bins = config.mel_bins
        self.register_buffer("mean", torch.zeros(bins) if mean is None else mean)
        self.register_buffer("scale", torch.ones(bins) if scale is None else scale)
        self.conv1 = Conv(bins, config.dim, 3, 1, 2, 0)
        self.conv2 = Conv(config.dim, config.dim, 3, 2, 1, 0)
        self.blocks = nn.ModuleList(EncoderBlock(config) for _ in range(config.layers))
        self.ln_post = nn.LayerNorm(config.dim)

    def attention_mask(self, rows):
        """[rows, rows], 0 or -inf: row t sees t - window + 1 .. t."""
        distance = torch.arange(rows)[:, None] - torch.arange(rows)
        unseen = (distance < 0) | (distance >= self.config.window)
        return torch.zeros(rows, rows).masked_fill(unseen, -torch.inf)

    def forward(self, mel):
        mel = mel[:, : mel.shape[1] // 2 * 2]
        x = F.gelu(self.conv1((mel - self.mean) * self.scale))
        x = F.gelu(self.conv2(x))
        turn = [t.to(x.dtype) for t in rotary(x.shape[1], self.config.dim // self.config.heads, self.config.rope_base)]
        mask = self.attention_mask(x.shape[1]).to(x.dtype)
        for block in self.blocks:
            x = block(x, mask, turn, self.dropout)
        return self.ln_post(x)


class Adapter(nn.Module):
    """Encoder rows [B, L, E] -> backbone rows [B, R, D], R = (L + 2 padding - kernel) // stride + 1."""

    def __init__(self, config, encoder_dim, dim):
        super().__init__()
        self.config = config
        self.conv = Conv(encoder_dim, 2 * dim, config.kernel, config.stride, config.padding, config.padding)
        self.proj = nn.Sequential(nn.Linear(2 * dim, 2 * dim), nn.ReLU(), nn.Linear(2 * dim, dim))
        self.dropout = 0.0  # of what comes in

    def rows(self, encoder_rows):
        """How many rows come out of so many encoder rows (int or tensor)."""
        return (encoder_rows + 2 * self.config.padding - self.config.kernel) // self.config.stride + 1

    def forward(self, x):
        return self.proj(self.conv(F.dropout(x, self.dropout, self.training)))


def orthogonal(fan_in, fan_out, gain):
    return nn.Parameter(nn.init.orthogonal_(torch.empty(fan_in, fan_out), gain))


def shift(x):
    """[B, T, C] -> the row before each row, zeros before the first."""
    return F.pad(x, (0, 0, 1, -1))


class TimeMixing(nn.Module):
    def __init__(self, config, layer):
        super().__init__()
        self.layer, self.head_size = layer, config.head_size
        dim = config.dim
        depth, fade = layer / max(config.layers - 1, 1), 1 - layer / config.layers
        ramp = torch.arange(dim) / dim
        for name, power in (("r", 0.2), ("w", 0.9), ("k", 0.7), ("v", 0.7), ("a", 0.9), ("g", 0.2)):
            setattr(self, f"x_{name}", nn.Parameter(1 - ramp ** (power * fade)))
        self.w0 = nn.Parameter(-6.5 + 5 * (torch.arange(dim) / (dim - 1)) ** (0.85 + depth**0.5))
        self.a0 = nn.Parameter(torch.zeros(dim))
        for name, rank in (("w", config.rank_w), ("a", config.rank_a), ("v", config.rank_v), ("g", config.rank_g)):
            if name != "v" or layer > 0:
                setattr(self, f"{name}1", nn.Parameter(torch.zeros(dim, rank)))
                setattr(self, f"{name}2", orthogonal(rank, dim, 0.1))
        nn.init.uniform_(self.g1, -0.5 / dim**0.5, 0.5 / dim**0.5)
        if layer > 0:
            self.v0 = nn.Parameter(torch.full((dim,), 0.73))
        self.k_k = nn.Parameter(torch.full((dim,), 0.85))
        self.k_a = nn.Parameter(torch.ones(dim))
        self.r_k = nn.Parameter(torch.zeros(dim // config.head_size, config.head_size))
        for name in ("receptance", "key", "value", "output"):
            setattr(self, name, nn.Linear(dim, dim, bias=False))
        nn.init.zeros_(self.output.weight)
        self.ln_x = nn.GroupNorm(dim // config.head_size, dim, eps=64e-5)
        nn.init.constant_(self.ln_x.weight, ((1 + layer) / config.layers) ** 0.7)

    def forward(self, x, v_first):
        """x [B, T, C] after ln1; v_first [B, T, C] or None in layer 0 -> (y, v_first)."""
        dx = shift(x) - x

        def mixed(name):
            return torch.addcmul(x, dx, getattr(self, f"x_{name}").to(x.dtype))

        r, k, x_v = self.receptance(mixed("r")), self.key(mixed("k")), mixed("v")
        v = self.value(x_v)
        w = self.low_rank("w", torch.tanh, mixed("w"), self.w0)
        w = torch.exp(-0.6065306597 * torch.sigmoid(w.float()))
        a = torch.sigmoid(self.low_rank("a", None, mixed("a"), self.a0))
        g = self.low_rank("g", torch.sigmoid, mixed("g"))
        if self.layer == 0:
            v_first = v
        else:
            v = v + (v_first - v) * torch.sigmoid(self.low_rank("v", None, x_v, self.v0))
        kk = F.normalize(self.heads(k * self.k_k.to(k.dtype)).float(), dim=-1)
        k = torch.addcmul(k, k * (a - 1), self.k_a.to(k.dtype))
        r, w, k, v, a = (self.heads(t) for t in (r, w, k, v, a))
        recurrence = wkv7 if self.head_size == 64 else (lambda *t: wkv7_reference(*t)[0])
        y = recurrence(r, w, k, v, -kk, kk * a)
        y = self.ln_x(y.flatten(0, 1).flatten(1)).view_as(x).to(x.dtype)
        bonus = (r * k * self.r_k.to(r.dtype)).sum(-1, keepdim=True) * v
        return self.output((y + bonus.flatten(2)) * g), v_first

    def low_rank(self, name, bend, x, bias=None):
        """bend(x W1) W2 + bias, a product and a sum in one."""
        inner = x @ getattr(self, name + "1")
        inner = inner if bend is None else bend(inner)
        outer = getattr(self, name + "2")
        if bias is None:
            return inner @ outer
        return torch.addmm(bias, inner.flatten(0, 1), outer).view_as(x)

    def heads(self, x):
        return x.unflatten(-1, (-1, self.head_size))


class ChannelMixing(nn.Module):
    def __init__(self, config, layer):
        super().__init__()
        fade = 1 - layer / config.layers
        self.x_k = nn.Parameter(1 - (torch.arange(config.dim) / config.dim) ** (fade**4))
        self.key = nn.Linear(config.dim, config.ffn, bias=False)
        self.value = nn.Linear(config.ffn, config.dim, bias=False)
        nn.init.zeros_(self.value.weight)

    def forward(self, x):
        return self.value(F.relu(self.key(torch.addcmul(x, shift(x) - x, self.x_k.to(x.dtype)))) ** 2)


class BackboneBlock(nn.Module):
    def __init__(self, config, layer):
        super().__init__()
        if layer == 0:
            self.ln0 = nn.LayerNorm(config.dim)
        self.ln1, self.ln2 = nn.LayerNorm(config.dim), nn.LayerNorm(config.dim)
        self.att = TimeMixing(config, layer)
        self.ffn = ChannelMixing(config, layer)
        self.dropout = 0.0  # of what the block adds

    def forward(self, x, v_first):
        mixed, v_first = self.att(self.ln1(x), v_first)
        x = x + F.dropout(mixed, self.dropout, self.training)
        return x + F.dropout(self.ffn(self.ln2(x)), self.dropout, self.training), v_first


class Backbone(nn.Module):
    """RWKV-7 over embedding rows [B, T, D], from an empty state -> normalised rows [B, T, D]; head() gives logits."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.emb = nn.Embedding(config.vocab, config.dim)
        nn.init.normal_(self.emb.weight, std=0.5)
        self.blocks = nn.ModuleList(BackboneBlock(config, n) for n in range(config.layers))
        self.ln_out = nn.LayerNorm(config.dim)
        self.head = nn.Linear(config.dim, config.vocab, bias=False)
        nn.init.orthogonal_(self.head.weight, 0.5)

    def forward(self, x):
        if torch.is_autocast_enabled("cpu"):
            x = x.bfloat16()
        x = self.blocks[0].ln0(x)
        v_first = None
        for block in self.blocks:
            x, v_first = block(x, v_first)
        return self.ln_out(x)


class Earshot(nn.Module):
    """The three parts under the names of the model file."""

    def __init__(self, encoder, adapter, backbone):
        super().__init__()
        self.encoder = Encoder(encoder)
        self.adapter = Adapter(adapter, encoder.dim, backbone.dim)
        self.backbone = Backbone(backbone)
