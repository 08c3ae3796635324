"""Whole conversions: every layout, the names, shapes, types and settings that the C program reads."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from convert import vocabulary, wavlm
from convert.stored import Stored
from convert.tests.conftest import ROOT, TOKENS, make

IDS = vocabulary.Encoder([b"", *TOKENS])
DIM = 64


@pytest.fixture
def parts(encoders):
    """Everything a checkpoint with WavLM base has: (backbone, encoder, adapter)."""
    model, _ = encoders["wavlm-mini"]
    return make.backbone("rwkv7-mini"), make.encoder_state(model), make.adapter(64, DIM)


def same(array, tensor):
    np.testing.assert_array_equal(array, tensor.float().numpy())


def check_backbone(model, state):
    same(model.arrays["backbone.emb.weight"], state["emb.weight"])
    same(model.arrays["backbone.blocks.1.att.x_r"], state["blocks.1.att.x_r"].flatten())
    same(model.arrays["backbone.blocks.1.att.w1"], state["blocks.1.att.w1"].T)
    same(model.arrays["backbone.blocks.1.att.g2"], state["blocks.1.att.g2"].T)
    same(model.arrays["backbone.blocks.0.att.r_k"], state["blocks.0.att.r_k"])
    assert [model[f"backbone.{key}"] for key in ("dim", "layers", "head_size", "ffn", "vocab")] == [64, 2, 64, 128, 320]
    assert "backbone.blocks.0.att.v1" not in model.arrays


def check_adapter(model, state):
    same(model.arrays["adapter.conv.weight"], state["conv.weight"].permute(0, 2, 1))
    same(model.arrays["adapter.proj.2.bias"], state["proj.2.bias"])


def test_the_older_layout(shop, parts):
    backbone, encoder, adapter = parts
    backbone = make.backbone("rwkv7-mini", spare=True)
    model = shop.convert(shop.save(make.full("older", backbone, encoder, adapter)), "--type", "f32")
    check_backbone(model, backbone)
    check_adapter(model, adapter)
    assert model.settings["general.architecture"] == "earshot" and model["format_version"] == 1
    assert [model[f"adapter.{key}"] for key in ("kernel", "stride", "padding")] == [3, 2, 0]
    assert (model["prompt.audio_begin"], model["prompt.caption"]) == ([], [])
    assert (model["prompt.reply"], model["prompt.text_begin"]) == (IDS("\x16Assistant:"), IDS("\x16User:"))
    assert model["prompt.ask"] == IDS("\x17\x16Assistant:")
    assert (model["prompt.space"], model["conversation.carry"]) == (False, False)
    assert (model["decode.stop"], model["decode.ban"], model["decode.max_tokens"]) == ([24], [0], 500)


def test_the_newer_layout(shop, parts):
    backbone, encoder, adapter = parts
    model = shop.convert(shop.save(make.full("newer", backbone, encoder, adapter)), "--type", "f32")
    check_backbone(model, backbone)
    check_adapter(model, adapter)
    assert model["adapter.padding"] == 2
    assert model["prompt.audio_begin"] == model["prompt.text_begin"] == IDS("\x16User:")
    assert model["prompt.reply"] == IDS("\x17\x16Assistant:")
    assert (model["prompt.space"], model["conversation.carry"]) == (False, True)
    assert "earshot.prompt.ask" not in model.settings


def test_the_newer_layout_without_model_in_its_names(shop, parts):
    backbone, encoder, adapter = parts
    tensors = make.full("newer", backbone, {}, adapter) | make.prefixed("encoder.", encoder)
    assert shop.convert(shop.save(tensors))["encoder.type"] == "wavlm"


def test_whisper_inside_a_checkpoint(shop, encoders):
    encoder = make.encoder_state(encoders["whisper-mini"][0])
    for layout in ("older", "newer"):
        tensors = make.full(layout, make.backbone("rwkv7-mini"), encoder, make.adapter(64, DIM))
        assert shop.convert(shop.save(tensors))["encoder.type"] == "whisper"


def plain(shop, name, encoders, *options, bin_file=False):
    model, extractor = encoders[name]
    folder = shop.folder / "hf"
    make.save_folder(folder, model, extractor)
    if bin_file:
        (folder / "model.safetensors").unlink()
        torch.save(model.state_dict(), folder / "pytorch_model.bin")
    adapter = shop.save(make.adapter(64, DIM), "adapter.pth")
    checkpoint = shop.save(make.backbone("rwkv7-mini"))
    return shop.convert(checkpoint, "--encoder", folder, "--adapter", adapter, *options)


@pytest.mark.parametrize("bin_file", [False, True])
def test_whisper_from_a_folder(shop, encoders, bin_file):
    model = plain(shop, "whisper-mini", encoders, "--type", "f32", bin_file=bin_file)
    state = make.encoder_state(encoders["whisper-mini"][0])
    keys = ("dim", "layers", "heads", "ffn", "mel_bins", "positions")
    assert [model[f"encoder.{key}"] for key in keys] == [64, 2, 1, 128, 80, 1500]
    same(model.arrays["encoder.conv1.weight"], state["conv1.weight"].permute(0, 2, 1))
    same(model.arrays["encoder.positions.weight"], state["embed_positions.weight"])
    same(model.arrays["encoder.blocks.1.ln2.bias"], state["layers.1.final_layer_norm.bias"])
    same(model.arrays["encoder.blocks.1.ffn.2.weight"], state["layers.1.fc2.weight"])
    same(model.arrays["encoder.blocks.0.attn.q.bias"], state["layers.0.self_attn.q_proj.bias"])
    same(model.arrays["encoder.ln_post.weight"], state["layer_norm.weight"])
    assert "encoder.blocks.0.attn.k.bias" not in model.arrays
    assert sum(name.startswith("encoder.") for name in model.arrays) == 5 + 2 * 15 + 2


def test_whisper_that_streams_in_blocks(shop, encoders):
    model = plain(shop, "whisper-mini", encoders, "--blocks", "20,400")
    assert (model["encoder.block"], model["encoder.left"]) == (20, 400)
    model = plain(shop, "whisper-mini", encoders)
    assert "earshot.encoder.block" not in model.settings
    make.save_folder(shop.folder / "wavlm", *encoders["wavlm-mini"])
    options = ("--encoder", shop.folder / "wavlm", "--adapter", shop.folder / "adapter.pth", "--blocks", "16,400")
    assert "--blocks is of Whisper, this is wavlm" in shop.refuses(shop.folder / "model.pth", *options)
    for wrong in ("33,400", "0,400", "16", "16,5000", "16,-1", "a,b"):
        with pytest.raises(SystemExit):
            shop.run(shop.folder / "model.pth", "--blocks", wrong)


@pytest.mark.parametrize("name", ["wavlm-mini", "wavlm-mini-large"])
def test_wavlm_from_a_folder(shop, encoders, name):
    model, large = plain(shop, name, encoders, "--type", "f32"), name.endswith("large")
    state = make.encoder_state(encoders[name][0])
    assert [model[f"encoder.{key}"] for key in ("dim", "layers", "heads", "ffn")] == [64, 2, 2, 128]
    assert model["encoder.conv.dims"] == [32] * 7
    assert model["encoder.conv.kernels"] == [10, 3, 3, 3, 3, 2, 2]
    assert model["encoder.conv.strides"] == [5, 2, 2, 2, 2, 2, 2]
    assert model["encoder.conv.norm"] == ("layer" if large else "group")
    assert model["encoder.norm_first"] is large and model["encoder.normalise"] is large
    assert (model["encoder.position.kernel"], model["encoder.position.groups"]) == (16, 4)
    assert (model["encoder.relative.buckets"], model["encoder.relative.max_distance"]) == (320, 800)
    assert model["encoder.layer_norm_eps"] == pytest.approx(1e-5)
    assert ("encoder.conv.3.bias" in model.arrays, "encoder.conv.3.norm.weight" in model.arrays) == (large, large)
    same(model.arrays["encoder.conv.0.weight"], state["feature_extractor.conv_layers.0.conv.weight"].permute(0, 2, 1))
    same(model.arrays["encoder.relative.weight"], state["encoder.layers.0.attention.rel_attn_embed.weight"])
    same(
        model.arrays["encoder.blocks.1.attn.gate.scale"],
        state["encoder.layers.1.attention.gru_rel_pos_const"].flatten(),
    )
    same(model.arrays["encoder.blocks.1.ln2.weight"], state["encoder.layers.1.final_layer_norm.weight"])
    whole = encoders[name][0].encoder.pos_conv_embed.conv.weight.detach().permute(0, 2, 1)
    np.testing.assert_allclose(model.arrays["encoder.position.weight"], whole, rtol=1e-6)


def test_both_spellings_of_weight_norm_are_equal(shop, parts):
    backbone, encoder, adapter = parts
    name = "encoder.pos_conv_embed.conv."
    renamed = {k: v for k, v in encoder.items() if "original" not in k}
    for old, new in (("original0", "weight_g"), ("original1", "weight_v")):
        renamed[name + new] = encoder[f"{name}parametrizations.weight.{old}"]
    newer = shop.convert(shop.save(make.full("newer", backbone, encoder, adapter)), "--type", "f32")
    older = shop.convert(shop.save(make.full("newer", backbone, renamed, adapter)), "--type", "f32")
    np.testing.assert_array_equal(newer.arrays["encoder.position.weight"], older.arrays["encoder.position.weight"])


@torch.no_grad()
def test_the_gate_is_the_sum_of_four(shop, parts, encoders):
    model = shop.convert(shop.save(make.full("newer", *parts)), "--type", "f32")
    linear = encoders["wavlm-mini"][0].encoder.layers[1].attention.gru_rel_pos_linear
    x = torch.randn(50, 32)
    expected = linear(x).view(50, 2, 4).sum(-1)
    weight, bias = (model.arrays[f"encoder.blocks.1.attn.gate.{key}"] for key in ("weight", "bias"))
    np.testing.assert_allclose(x.numpy() @ weight.T + bias, expected, rtol=1e-5, atol=1e-5)


def test_text_alone(shop):
    model = shop.convert(shop.save(make.backbone("rwkv7-mini")), "--license", "Apache-2.0", "--name", "Words")
    assert model["encoder.type"] == "none"
    assert not any(name.startswith(("encoder.", "adapter.")) for name in model.arrays)
    assert "earshot.adapter.kernel" not in model.settings
    assert (model.settings["general.name"], model.settings["general.license"]) == ("Words", "Apache-2.0")
    assert (model["prompt.text_begin"], model["decode.stop"]) == (IDS("User:"), [0, *IDS("\n\n")])


def test_safetensors(shop):
    from safetensors.torch import save_file

    state = make.backbone("rwkv7-mini")
    save_file(state, shop.folder / "model.safetensors")
    check_backbone(shop.convert(shop.folder / "model.safetensors", "--type", "f32"), state)


def test_a_pickle_from_before_zip_files(shop):
    state = make.backbone("rwkv7-mini")
    torch.save(state, shop.folder / "model.pth", _use_new_zipfile_serialization=False)
    check_backbone(shop.convert(shop.folder / "model.pth", "--type", "f32"), state)


def test_an_adapter_without_convolution_and_other_kernels(shop, parts):
    backbone, encoder, _ = parts
    for kernel, stride in ((0, 1), (3, 2), (4, 3), (5, 4)):
        tensors = make.full("newer", backbone, encoder, make.adapter(64, DIM, kernel))
        model = shop.convert(shop.save(tensors))
        assert (model["adapter.kernel"], model["adapter.stride"]) == (kernel, stride)
        assert ("adapter.conv.weight" in model.arrays) == bool(kernel)
    tensors = make.full("newer", backbone, encoder, make.adapter(64, DIM, 7))
    assert "--adapter-stride" in shop.refuses(shop.save(tensors))
    model = shop.convert(shop.save(tensors), "--adapter-stride", "5", "--adapter-padding", "3")
    assert [model[f"adapter.{key}"] for key in ("kernel", "stride", "padding")] == [7, 5, 3]


@pytest.mark.parametrize("kind", ["f32", "f16", "bf16", "q8_0", "q4_0"])
def test_types_by_part(shop, parts, kind):
    other = "f16" if kind != "f16" else "q8_0"
    checkpoint = shop.save(make.full("newer", *parts))
    model = shop.convert(checkpoint, "--type", kind, "--encoder-type", other)
    assert model.kinds["backbone.head.weight"] == model.kinds["adapter.proj.0.weight"] == kind.upper()
    assert model.kinds["encoder.blocks.0.ffn.0.weight"] == model.kinds["encoder.conv.1.weight"] == other.upper()
    rank_8, one_channel = model.kinds["backbone.blocks.1.att.w2"], model.kinds["encoder.conv.0.weight"]
    assert rank_8 == ("F16" if kind in ("q8_0", "q4_0") else kind.upper())
    assert one_channel == "F16"
    vectors = [
        "backbone.blocks.0.att.r_k",
        "backbone.ln_out.weight",
        "encoder.relative.weight",
        "encoder.blocks.0.attn.gate.weight",
    ]
    assert {model.kinds[name] for name in vectors} == {"F32"}
    exact = parts[0]["head.weight"].float().numpy()
    coarse = {"f32": 0, "f16": 0, "bf16": 0.01, "q8_0": 0.01, "q4_0": 0.2}[kind]
    np.testing.assert_allclose(model.arrays["backbone.head.weight"], exact, rtol=0, atol=coarse * np.abs(exact).max())


def test_prompt_carry_and_normalise_can_be_chosen(shop, parts):
    checkpoint = shop.save(make.full("newer", *parts))
    model = shop.convert(checkpoint, "--prompt", "audio-first", "--carry", "--no-normalise")
    assert model["prompt.reply"] == IDS("\x16Assistant:")
    assert model["conversation.carry"] is True and model["encoder.normalise"] is False
    assert shop.convert(checkpoint)["encoder.normalise"] is True
    assert shop.convert(checkpoint, "--no-carry")["conversation.carry"] is False


def test_the_vocabulary(shop):
    model = shop.convert(shop.save(make.backbone("rwkv7-mini")))
    lengths = model["vocab.lengths"]
    assert bytes(model["vocab.bytes"]) == b"".join(TOKENS)
    assert len(lengths) == 320 and lengths[0] == 0
    assert lengths[1:] == [len(t) for t in TOKENS] + [0] * (319 - len(TOKENS))


def test_the_summary(shop, parts):
    backbone, encoder, adapter = parts
    tensors = make.full("older", backbone, encoder, adapter)
    status, said, shown = shop.run(shop.save(tensors))
    assert status == 0 and "100 %" in shown
    for part in ("older layout", "WavLM, 2 layers of 64", "kernel 3, stride 2, padding 0", "padding 0, as older",
                 "masked_spec_embed", "HuBERT", "missing    nothing"):  # fmt: skip
        assert part in said
    tensors = make.full("newer", backbone, encoder, adapter) | {"step": torch.zeros(1)}
    assert "step, which is unknown" in shop.run(shop.save(tensors))[1]


def test_the_bar_on_a_terminal(monkeypatch):
    import io

    from convert.report import Progress

    screen = io.StringIO()
    screen.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", screen)
    progress = Progress(100)
    for _ in range(100):
        progress.advance(1)
    assert "[###############               ]  50 %" in screen.getvalue()
    assert screen.getvalue().count("\n") == 1


def test_a_folder_that_says_do_not_normalise_but_has_no_tokenizer(shop, encoders):
    plain(shop, "wavlm-mini", encoders)
    options = ("--encoder", shop.folder / "hf", "--adapter", shop.folder / "adapter.pth")
    assert "not normalised" in shop.run(shop.folder / "model.pth", *options)[1]
    (shop.folder / "hf" / "vocab.json").write_text("{}")
    assert "not normalised" not in shop.run(shop.folder / "model.pth", *options)[1]


def test_sharded_folders_and_names_of_ctc_models(shop, encoders):
    from safetensors.torch import save_file

    plain(shop, "wavlm-mini", encoders)
    state = make.prefixed("wavlm.", encoders["wavlm-mini"][0].state_dict()) | {"lm_head.weight": torch.zeros(3, 64)}
    (shop.folder / "hf" / "model.safetensors").unlink()
    shards = {"a.safetensors": dict(list(state.items())[::2]), "b.safetensors": dict(list(state.items())[1::2])}
    for shard, tensors in shards.items():
        save_file({k: v.contiguous() for k, v in tensors.items()}, shop.folder / "hf" / shard)
    index = {"weight_map": {name: shard for shard, tensors in shards.items() for name in tensors}}
    import json

    (shop.folder / "hf" / "model.safetensors.index.json").write_text(json.dumps(index))
    options = ("--encoder", shop.folder / "hf", "--adapter", shop.folder / "adapter.pth")
    assert shop.convert(shop.folder / "model.pth", *options)["encoder.type"] == "wavlm"
    index["weight_map"]["lm_head.weight"] = "../a.safetensors"
    (shop.folder / "hf" / "model.safetensors.index.json").write_text(json.dumps(index))
    assert "'../a.safetensors' is outside" in shop.refuses(shop.folder / "model.pth", *options)


def test_the_gguf_package_opens_it(shop, parts):
    shop.convert(shop.save(make.full("newer", *parts)))
    command = [sys.executable, "-m", "gguf.scripts.gguf_dump", shop.folder / "out.gguf"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "backbone.blocks.1.att.receptance.weight" in said and "earshot.prompt.audio_begin" in said


def test_the_launcher_works_from_any_folder(shop, tmp_path):
    checkpoint = shop.save(make.backbone("rwkv7-mini"))
    command = [ROOT / "tools" / "convert", checkpoint.name, "-o", "launched.gguf"]
    environment = os.environ | {"EARSHOT_PYTHON": sys.executable}
    subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True)
    assert (tmp_path / "launched.gguf").exists()


WITHOUT = """
import sys
sys.modules |= dict.fromkeys(("torch", "safetensors", "gguf", "rwkv", "transformers"))
from convert import cli
sys.exit(cli.main())
"""


def test_numpy_is_all_that_is_needed(shop, parts):
    checkpoint = shop.save(make.full("newer", *parts))
    command = [sys.executable, "-c", WITHOUT, checkpoint, "-o", shop.folder / "alone.gguf"]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    shop.convert(checkpoint)
    assert (shop.folder / "alone.gguf").read_bytes() == (shop.folder / "out.gguf").read_bytes()


def test_the_launcher_says_how_to_install_numpy(tmp_path):
    environment = {name: value for name, value in os.environ.items() if name != "EARSHOT_PYTHON"}
    command = [sys.executable, "-S", ROOT / "tools" / "convert", "x.pth", "-o", "x.gguf"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 1 and "has no numpy" in done.stderr and "sudo apt install python3-numpy" in done.stderr


def test_weight_norm_is_torch_s():
    conv = torch.nn.utils.parametrizations.weight_norm(torch.nn.Conv1d(8, 8, 4, groups=2), dim=2)
    held = conv.parametrizations.weight
    magnitude, direction = held.original0.detach().numpy(), held.original1.detach().numpy()
    np.testing.assert_allclose(wavlm.unnormalised(magnitude, direction), conv.weight.detach(), rtol=1e-6)


def test_quantising_in_pieces_is_quantising_whole(monkeypatch):
    import gguf

    from convert import gguf_file

    values = torch.randn(37, 64).numpy()
    monkeypatch.setattr(gguf_file, "BLOCK_ELEMENTS", 5 * 64)
    for kind in gguf_file.TYPES.values():
        tensor = gguf_file.Tensor("x", (37, 64), kind, lambda: values, "x")
        whole = gguf.quants.quantize(values, gguf.GGMLQuantizationType(kind))
        assert b"".join(gguf_file.packed(tensor)) == whole.tobytes()


def test_stored_tensors_name_their_file():
    from pathlib import Path

    assert str(Stored(Path("a/b.pth"), "emb.weight", (1,), "float32", None)) == "b.pth: emb.weight"
