"""A tiny ModRWKV checkpoint in the newer public layout, with numpy alone: RWKV-7, Whisper's encoder, adapter, and the .pth file that
PyTorch would write."""
import io
import json
import pickle
import sys
import types
import zipfile
from collections import OrderedDict

import numpy as np

DIM, FFN, RANK, ROWS, BINS, POSITIONS = 64, 64, 8, 288, 80, 1500
CONFIG = {"model_type": "whisper", "d_model": DIM, "num_mel_bins": BINS, "encoder_layers": 1, "encoder_ffn_dim": FFN,
          "encoder_attention_heads": 1, "max_source_positions": POSITIONS, "activation_function": "gelu"}
PREPROCESSOR = {"feature_size": BINS, "n_fft": 400, "hop_length": 160, "chunk_length": 30, "sampling_rate": 16000}


def random_tensors(shapes, seed):
    rng = np.random.default_rng(seed)
    return {name: (rng.standard_normal(shape) * 0.1).astype(np.float16) for name, shape in shapes.items()}


def linear(name, fan_out, fan_in, bias=True):
    return {f"{name}.weight": (fan_out, fan_in)} | ({f"{name}.bias": (fan_out,)} if bias else {})


def norm(name):
    return {f"{name}.weight": (DIM,), f"{name}.bias": (DIM,)}


def backbone():
    att = {f"x_{letter}": (1, 1, DIM) for letter in "rwkvag"} | {name: (1, 1, DIM) for name in ("w0", "a0", "k_k", "k_a")}
    att |= {f"{letter}1": (DIM, RANK) for letter in "wag"} | {f"{letter}2": (RANK, DIM) for letter in "wag"} | {"r_k": (1, DIM)}
    att |= {f"{name}.weight": (DIM, DIM) for name in ("receptance", "key", "value", "output")} | norm("ln_x")
    block = norm("ln0") | norm("ln1") | norm("ln2") | {f"att.{name}": shape for name, shape in att.items()}
    block |= {"ffn.x_k": (1, 1, DIM), "ffn.key.weight": (FFN, DIM), "ffn.value.weight": (DIM, FFN)}
    shapes = {"emb.weight": (ROWS, DIM), "head.weight": (ROWS, DIM)} | norm("ln_out")
    return shapes | {f"blocks.0.{name}": shape for name, shape in block.items()}


def encoder():
    layer = norm("self_attn_layer_norm") | norm("final_layer_norm") | linear("fc1", FFN, DIM) | linear("fc2", DIM, FFN)
    for name in ("q", "k", "v", "out"):
        layer |= linear(f"self_attn.{name}_proj", DIM, DIM, bias=name != "k")
    shapes = {"conv1.weight": (DIM, BINS, 3), "conv1.bias": (DIM,), "conv2.weight": (DIM, DIM, 3), "conv2.bias": (DIM,)}
    shapes |= {"embed_positions.weight": (POSITIONS, DIM)} | norm("layer_norm")
    return shapes | {f"layers.0.{name}": shape for name, shape in layer.items()}


def adapter():
    hidden = 2 * DIM
    conv = {"conv.weight": (hidden, DIM, 3), "conv.bias": (hidden,)}
    return conv | linear("proj.0", hidden, hidden) | linear("proj.2", DIM, hidden)


def tensors():
    shapes = {f"llm.{name}": shape for name, shape in backbone().items()}
    shapes |= {f"encoder.model.{name}": shape for name, shape in encoder().items()}
    return random_tensors(shapes | {f"proj.{name}": shape for name, shape in adapter().items()}, 1)


def vocabulary():
    """The bytes, and a few words: `id literal length`."""
    lines = [f"{byte + 1} {bytes([byte])!r} 1" for byte in range(256)]
    words = [f" word{n}" for n in range(ROWS - 257)]
    return "\n".join(lines + [f"{257 + n} {word!r} {len(word)}" for n, word in enumerate(words)]) + "\n"


class Pickler(pickle.Pickler):
    """As torch.save pickles: a tensor is a call of torch._utils._rebuild_tensor_v2 with a storage that another file has."""

    def __init__(self, file, rebuild, storage):
        super().__init__(file, protocol=2)
        self.rebuild, self.storage, self.data = rebuild, storage, []

    def persistent_id(self, thing):
        if not isinstance(thing, Storage):
            return None
        self.data.append(thing.array)
        return ("storage", self.storage, str(len(self.data) - 1), "cpu", thing.array.size)

    def reducer_override(self, thing):
        if not isinstance(thing, np.ndarray):
            return NotImplemented
        strides = tuple(step // thing.itemsize for step in thing.strides)
        return self.rebuild, (Storage(thing), 0, thing.shape, strides, False, OrderedDict())


class Storage:
    def __init__(self, array):
        self.array = array


def stand_in(module, name, kind):
    """What pickle finds as module.name."""
    sys.modules.setdefault(module, types.ModuleType(module))
    made = kind(name, (), {}) if kind is type else (lambda *_: None)
    made.__module__, made.__qualname__, made.__name__ = module, name, name
    setattr(sys.modules[module], name, made)
    return made


def pth(named):
    """float16 arrays -> the bytes of a .pth file, in PyTorch's zip format."""
    pickled, whole = io.BytesIO(), io.BytesIO()
    pickler = Pickler(pickled, stand_in("torch._utils", "_rebuild_tensor_v2", None), stand_in("torch", "HalfStorage", type))
    pickler.dump(dict(named))
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_STORED) as pack:
        pack.writestr("model/data.pkl", pickled.getvalue())
        pack.writestr("model/byteorder", "little")
        for n, array in enumerate(pickler.data):
            pack.writestr(f"model/data/{n}", array.tobytes())
        pack.writestr("model/version", "3\n")
    return whole.getvalue()


def repositories():
    """{repository: {file: bytes}}, as the hub has them."""
    settings = {"config.json": json.dumps(CONFIG).encode(), "preprocessor_config.json": json.dumps(PREPROCESSOR).encode()}
    return {"maker/speech": {"model.pth": pth(tensors()), "README.md": b"A model.\n"},
            "maker/encoder": settings | {"model.safetensors": b"0" * 100},
            "maker/words": {"rwkv_vocab_v20230424.txt": vocabulary().encode()}}
