"""What is not understood is refused by name, in one line, with nothing written."""

import json
import os
import pickle
import shutil
import zipfile
from types import SimpleNamespace

import pytest
import torch

from convert import gguf_file
from convert.tests.conftest import make


@pytest.fixture
def tensors(encoders):
    model, _ = encoders["wavlm-mini"]
    return make.full("newer", make.backbone("rwkv7-mini"), make.encoder_state(model), make.adapter(64, 64))


def test_a_truncated_file(shop, tensors):
    path = shop.save(tensors)
    data = path.read_bytes()
    for size in (len(data) - 10, len(data) // 2, 100):
        path.write_bytes(data[:size])
        assert "model.pth: cut short or damaged" in shop.refuses(path)
    for size in (0, 7):
        path.write_bytes(data[:size])
        assert "model.pth" in shop.refuses(path)


def test_a_damaged_file(shop, tensors):
    path = shop.save(tensors)
    with zipfile.ZipFile(path) as whole, zipfile.ZipFile(shop.folder / "less.pth", "w") as less:
        for name in whole.namelist():
            if not name.endswith("/data/3"):
                less.writestr(name, whole.read(name))
    assert "less.pth: damaged" in shop.refuses(shop.folder / "less.pth")


class Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("whole_file", [False, True])
def test_a_pickle_that_wants_to_run_code(shop, whole_file):
    trap = shop.folder / "trap"
    if whole_file:
        (shop.folder / "model.pth").write_bytes(pickle.dumps({"emb.weight": Evil(str(trap))}, protocol=2))
    else:
        torch.save({"emb.weight": Evil(str(trap))}, shop.folder / "model.pth")
    said = shop.refuses(shop.folder / "model.pth")
    assert "refused" in said and ("mkdir" in said or whole_file)
    assert not trap.exists()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello, world, this is text",
        b"GGUF\3\0\0\0" + bytes(32),
        b"\x80\x02garbage" * 9,
        b'\x10\0\0\0\0\0\0\0{"a": nonsense!!}',
    ],
)
def test_what_is_no_checkpoint(shop, data):
    path = shop.folder / "x.pth"
    path.write_bytes(data)
    assert "x.pth" in shop.refuses(path)


def test_a_file_that_is_not_there_and_a_list(shop):
    assert "none.pth: No such file" in shop.refuses(shop.folder / "none.pth")
    assert "holds a list" in shop.refuses(shop.save([torch.zeros(3)]))
    assert "no tensors at its top level" in shop.refuses(shop.save({"state_dict": {"emb.weight": torch.zeros(3)}}))


@pytest.mark.parametrize(
    "name",
    [
        "llm.blocks.1.att.w2",
        "llm.blocks.0.ln0.bias",
        "llm.head.weight",
        "proj.proj.2.bias",
        "llm.blocks.0.att.r_k",
        "encoder.model.encoder.layers.1.attention.gru_rel_pos_const",
        "encoder.model.encoder.layers.0.feed_forward.output_dense.bias",
        "encoder.model.feature_extractor.conv_layers.0.layer_norm.weight",
    ],
)
def test_a_missing_tensor(shop, tensors, name):
    del tensors[name]
    said = shop.refuses(shop.save(tensors))
    assert f"{name.split('.', 1)[1].removeprefix('model.')} is missing" in said


@pytest.mark.parametrize(
    "name",
    [
        "llm.blocks.1.att.qq.weight",
        "llm.blocks.0.ffn.s_emb.weight",
        "llm.blocks.1.ln3.weight",
        "proj.pre_norm.weight",
        "encoder.model.encoder.layers.1.extra.weight",
        "llm.blocks.1.ln0.weight",
    ],
)
def test_a_tensor_that_would_change_the_result(shop, tensors, name):
    tensors[name] = torch.zeros(64)
    assert name in shop.refuses(shop.save(tensors))


@pytest.mark.parametrize(
    "name",
    [
        "llm.blocks.1.att.w2",
        "llm.blocks.0.att.x_r",
        "llm.blocks.1.ffn.value.weight",
        "proj.conv.weight",
        "proj.proj.2.weight",
        "llm.head.weight",
        "encoder.model.encoder.layers.1.attention.k_proj.weight",
        "encoder.model.encoder.pos_conv_embed.conv.parametrizations.weight.original0",
        "encoder.model.feature_extractor.conv_layers.4.conv.weight",
    ],
)
def test_a_wrong_shape(shop, tensors, name):
    tensors[name] = torch.cat([tensors[name]] * 2, -1).clone()
    said = shop.refuses(shop.save(tensors))
    assert f"{name}: " in said and ("shape [" in said or "--adapter-stride" in said)


def test_shapes_that_contradict_each_other_are_named(shop, tensors):
    tensors["llm.blocks.1.ffn.key.weight"] = tensors["llm.blocks.1.ffn.key.weight"][:100].clone()
    said = shop.refuses(shop.save(tensors))
    assert "llm.blocks.1.ffn.key.weight: shape [100, 64], expected [128, 64]" in said


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize(
    "name",
    [
        "llm.emb.weight",
        "llm.blocks.1.ln2.bias",
        "encoder.model.encoder.layers.1.layer_norm.weight",
        "encoder.model.encoder.pos_conv_embed.conv.parametrizations.weight.original1",
    ],
)
def test_values_that_are_no_numbers(shop, tensors, name, value):
    tensors[name] = tensors[name].clone()
    tensors[name].view(-1)[-1] = value
    assert f"{name}: holds a NaN or an infinity" in shop.refuses(shop.save(tensors))


def test_values_and_types_that_do_not_fit(shop, tensors):
    large = tensors | {"llm.head.weight": tensors["llm.head.weight"].float() * 1e6}
    assert "llm.head.weight: too large for f16" in shop.refuses(shop.save(large), "--type", "f16")
    larger = tensors | {"llm.head.weight": tensors["llm.head.weight"].float() * 1e9}
    for kind in ("q8_0", "q4_0"):
        assert f"llm.head.weight: too large for {kind}" in shop.refuses(shop.save(larger), "--type", kind)
    whole = tensors | {"llm.head.weight": tensors["llm.head.weight"].to(torch.int8)}
    assert "llm.head.weight: of type int8" in shop.refuses(shop.save(whole))
    sparse = tensors | {"llm.head.weight": tensors["llm.head.weight"].to_sparse()}
    assert "llm.head.weight: of type sparse_coo" in shop.refuses(shop.save(sparse))
    empty = tensors | {"llm.head.weight": torch.zeros(0, 64)}
    assert "llm.head.weight: empty" in shop.refuses(shop.save(empty))
    endless = tensors | {"llm.emb.weight": torch.zeros(1).expand(1 << 40, 64)}
    assert "llm.emb.weight: 1099511627776 rows" in shop.refuses(shop.save(endless))


@pytest.mark.parametrize(
    "name, version", [("time_maa_x", "RWKV-6"), ("time_faaaa", "RWKV-5"), ("time_first", "RWKV-4")]
)
def test_older_versions_of_rwkv(shop, name, version):
    tensors = {
        "emb.weight": torch.zeros(9, 64),
        "blocks.0.att.time_decay": torch.zeros(64),
        f"blocks.0.att.{name}": torch.zeros(64),
    }
    said = shop.refuses(shop.save(tensors))
    assert f"blocks.0.att.{name}" in said and version in said


def test_other_models(shop):
    assert "model.layers.0.x" in shop.refuses(shop.save({"model.layers.0.x": torch.zeros(3)}))
    tensors = make.full("older", make.backbone("rwkv7-mini"), {"vision_model.x": torch.zeros(3)}, make.adapter(64, 64))
    assert "neither Whisper nor WavLM" in shop.refuses(shop.save(tensors))
    tensors = make.backbone("rwkv7-mini") | {
        "modality.state.x": torch.zeros(3),
        "modality.world_encoder.x": torch.zeros(3),
    }
    assert "modality.state.x" in shop.refuses(shop.save(tensors))


def test_parts_that_do_not_go_together(shop, tensors, encoders):
    backbone = make.backbone("rwkv7-mini")
    checkpoint, adapter = shop.save(backbone), shop.save(make.adapter(64, 64), "adapter.pth")
    make.save_folder(shop.folder / "hf", *encoders["whisper-mini"])
    assert "give --adapter" in shop.refuses(checkpoint, "--encoder", shop.folder / "hf")
    assert "give --encoder" in shop.refuses(checkpoint, "--adapter", adapter)
    full = shop.save(tensors, "full.pth")
    assert "would be a second" in shop.refuses(full, "--adapter", adapter)
    assert "model_type is 'whisper'" in shop.refuses(full, "--encoder", shop.folder / "hf")
    narrow = shop.save(make.adapter(32, 64), "narrow.pth")
    assert "conv.weight: shape" in shop.refuses(checkpoint, "--encoder", shop.folder / "hf", "--adapter", narrow)
    assert "no proj.0.weight" in shop.refuses(checkpoint, "--encoder", shop.folder / "hf", "--adapter", checkpoint)


def test_output_is_not_an_input_and_has_a_folder(shop):
    checkpoint = shop.save(make.backbone("rwkv7-mini"))
    assert "would replace" in shop.refuses(checkpoint, "-o", checkpoint)
    assert "no such folder" in shop.refuses(checkpoint, "-o", shop.folder / "none" / "x.gguf")


def test_a_full_disk_and_an_interruption(shop, monkeypatch):
    checkpoint = shop.save(make.backbone("rwkv7-mini"))
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
        assert "0 MB free, the file needs" in shop.refuses(checkpoint)
    monkeypatch.setattr(gguf_file, "packed", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    status, _, said = shop.run(checkpoint)
    assert status == 130 and "nothing was written" in said and not list(shop.folder.glob("*gguf*"))


WRONG = {
    "wavlm-mini": {
        "hidden_act": "relu",
        "feat_extract_activation": "silu",
        "feat_extract_norm": "batch",
        "add_adapter": True,
        "pos_conv_depth": 5,
        "conv_pos_batch_norm": True,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "conv_stride": [5, 2],
        "num_buckets": 64,
        "conv_dim": [16] * 7,
        "conv_bias": True,
        "model_type": "hubert",
        "num_conv_pos_embedding_groups": 8,
        "max_bucket_distance": 80.5,
        "layer_norm_eps": 0,
    },
    "whisper-mini": {
        "activation_function": "relu",
        "d_model": 65,
        "encoder_layers": 3,
        "encoder_ffn_dim": 4,
        "num_mel_bins": 128,
        "encoder_attention_heads": 7,
        "max_source_positions": 1400,
    },
}
PREPROCESSOR = {"n_fft": 512, "hop_length": 80, "chunk_length": 10, "feature_size": 128, "sampling_rate": 8000}
CASES = [(name, "config.json", key, value) for name, keys in WRONG.items() for key, value in keys.items()]
CASES += [("whisper-mini", "preprocessor_config.json", key, value) for key, value in PREPROCESSOR.items()]
CASES += [("wavlm-mini", "preprocessor_config.json", "do_normalize", "yes")]


@pytest.mark.parametrize("name, file, key, value", CASES)
def test_a_configuration_that_is_not_computed(shop, encoders, name, file, key, value):
    folder = shop.folder / "hf"
    make.save_folder(folder, *encoders[name])
    config = json.loads((folder / file).read_text())
    (folder / file).write_text(json.dumps(config | {key: value}))
    adapter = shop.save(make.adapter(64, 64), "adapter.pth")
    checkpoint = shop.save(make.backbone("rwkv7-mini"))
    assert f"{file}: {key} is " in shop.refuses(checkpoint, "--encoder", folder, "--adapter", adapter)


def test_folders_that_lack_something(shop, encoders):
    folder, adapter = shop.folder / "hf", shop.save(make.adapter(64, 64), "adapter.pth")
    checkpoint = shop.save(make.backbone("rwkv7-mini"))
    options = ("--encoder", folder, "--adapter", adapter)
    assert "config.json is missing" in shop.refuses(checkpoint, *options)
    make.save_folder(folder, *encoders["wavlm-mini"])
    (folder / "config.json").write_text("{")
    assert "config.json: not JSON" in shop.refuses(checkpoint, *options)
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").unlink()
    assert "has no model.safetensors or pytorch_model.bin" in shop.refuses(checkpoint, *options)


@pytest.mark.parametrize(
    "line, why",
    [
        ("257 'ab' 3", "says 3 bytes, has 2"),
        ("257 __import__('os') 5", "line 257"),
        ("x 'ab' 2", "line 257"),
        ("97 'ab' 2", "given before"),
        ("257 'a' 1", "given before"),
        ("400 'ab' 2", "320 rows"),
        ("257 '' 0", "line 257"),
        ("257", "line 257"),
        ("257 'ab", "line 257"),
        ("0 'ab' 2", "id 0"),
    ],
)
def test_a_bad_line_of_the_vocabulary(shop, line, why):
    lines = (shop.folder / "rwkv_vocab_v20230424.txt").read_text(encoding="utf-8").splitlines()[:256]
    (shop.folder / "v.txt").write_text("\n".join([*lines, line]) + "\n", encoding="utf-8")
    said = shop.refuses(shop.save(make.backbone("rwkv7-mini")), "--vocab", shop.folder / "v.txt")
    assert "v.txt, line 257: " in said and why in said


def test_a_vocabulary_without_a_byte(shop):
    (shop.folder / "v.txt").write_text("1 'a' 1\n")
    assert "the byte 0 is no token" in shop.refuses(
        shop.save(make.backbone("rwkv7-mini")), "--vocab", shop.folder / "v.txt"
    )
    assert "none.txt" in shop.refuses(shop.folder / "model.pth", "--vocab", shop.folder / "none.txt")
