"""CTranslate2's Whisper folders: the same model as from Hugging Face's, and damaged files are refused by name."""

import struct

import numpy as np
import pytest
import torch

from convert.tests.conftest import make

DIM = 64


@pytest.fixture
def parts(shop):
    """The checkpoint and the adapter that belong to an encoder, as arguments around it."""
    checkpoint, adapter = shop.save(make.backbone("rwkv7-mini")), shop.save(make.adapter(64, DIM), "adapter.pth")
    return lambda folder, *options: (checkpoint, "--adapter", adapter, "--encoder", folder, *options)


@pytest.fixture
def whisper(encoders):
    return encoders["whisper-mini"]


@pytest.mark.parametrize("kind", [torch.float32, torch.float16, torch.bfloat16])
def test_the_model_is_that_of_hugging_face(shop, parts, whisper, kind):
    make.save_folder(shop.folder / "hf", *whisper)
    make.save_ctranslate2(shop.folder / "ct2", whisper[0], kind)
    want = shop.convert(*parts(shop.folder / "hf", "--type", "f32"))
    have = shop.convert(*parts(shop.folder / "ct2", "--type", "f32"))
    assert have.arrays.keys() == want.arrays.keys()
    assert {k: v for k, v in have.settings.items() if "encoder" in k} == {
        k: v for k, v in want.settings.items() if "encoder" in k
    }
    for name, array in want.arrays.items():
        exact = kind != torch.bfloat16 or not name.startswith("encoder.")
        np.testing.assert_allclose(have.arrays[name], array, rtol=0 if exact else 2**-8, atol=0, err_msg=name)


def test_heads_are_read(shop, parts, whisper):
    variables = make.save_ctranslate2(shop.folder / "ct2", whisper[0])
    variables["encoder/num_heads"] = torch.tensor(4, dtype=torch.int16)
    (shop.folder / "ct2" / "model.bin").write_bytes(make.ctranslate2_file(variables))
    assert shop.convert(*parts(shop.folder / "ct2"))["encoder.heads"] == 4


def test_quantised_weights_are_their_integers_by_the_scale(shop, parts, whisper):
    variables = make.save_ctranslate2(shop.folder / "ct2", whisper[0], torch.int8)
    model = shop.convert(*parts(shop.folder / "ct2", "--type", "f32"))

    def meant(name):
        whole, scale = variables[f"encoder/{name}/weight"], variables[f"encoder/{name}/weight_scale"]
        return whole.numpy() / scale.numpy().reshape(-1, *[1] * (whole.ndim - 1))

    arrays = {name: model.arrays[f"encoder.{name}.weight"] for name in ("blocks.1.attn.v", "blocks.0.ffn.0", "conv2")}
    np.testing.assert_allclose(arrays["blocks.0.ffn.0"], meant("layer_0/ffn/linear_0"), rtol=1e-6)
    np.testing.assert_allclose(
        arrays["blocks.1.attn.v"], meant("layer_1/self_attention/linear_0")[2 * DIM :], rtol=1e-6
    )
    np.testing.assert_allclose(arrays["conv2"], meant("conv2").transpose(0, 2, 1), rtol=1e-6)
    whole = make.encoder_state(whisper[0])["layers.0.fc1.weight"].float().numpy()
    assert np.abs(arrays["blocks.0.ffn.0"] - whole).max() < np.abs(whole).max() / 250


def test_the_summary_leaves_the_decoder_out(shop, parts, whisper):
    make.save_ctranslate2(shop.folder / "ct2", whisper[0])
    status, said, _ = shop.run(*parts(shop.folder / "ct2"))
    assert status == 0 and "ignored    model.bin: decoder/embeddings/weight" in said and "unknown" not in said


def test_weights_of_hugging_face_come_first(shop, parts, whisper):
    make.save_folder(shop.folder / "both", *whisper)
    (shop.folder / "both" / "model.bin").write_bytes(b"something else")
    assert shop.convert(*parts(shop.folder / "both"))["encoder.type"] == "whisper"


def test_a_file_cut_anywhere(shop, parts, whisper):
    make.save_ctranslate2(shop.folder / "ct2", whisper[0])
    path = shop.folder / "ct2" / "model.bin"
    whole = path.read_bytes()
    for size in (3, 4, 17, 30, 60, 1000, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        assert "model.bin: cut short or damaged" in shop.refuses(*parts(shop.folder / "ct2")), size
    path.write_bytes(b"")
    assert "model.bin: empty" in shop.refuses(*parts(shop.folder / "ct2"))


BEGIN = struct.pack("<I", 6) + struct.pack("<H", 12) + b"WhisperSpec\0" + struct.pack("<I", 3)
NAME = struct.pack("<H", 2) + b"a\0"


@pytest.mark.parametrize(
    "data, why",
    [
        (b"hello, world, this is text", "version 1819043176"),
        (struct.pack("<I", 5) + BEGIN[4:], "version 5 of CTranslate2's files"),
        (BEGIN[:4] + struct.pack("<H", 16) + b"TransformerSpec\0" + bytes(8), "a TransformerSpec of CTranslate2"),
        (BEGIN[:4] + struct.pack("<H", 0) + bytes(8), "damaged (no name at byte 6)"),
        (BEGIN + struct.pack("<IH", 1, 2) + b"ab", "damaged (no name"),
        (BEGIN + struct.pack("<IH", 1, 2) + b"\xff\0", "damaged (no name"),
        (BEGIN + struct.pack("<I", 1) + NAME + b"\x09" + bytes(100), "a: of 9 dimensions"),
        (BEGIN + struct.pack("<I", 1) + NAME + struct.pack("<BBI", 0, 6, 4) + bytes(8), "a: of type 6"),
        (BEGIN + struct.pack("<I", 1) + NAME + struct.pack("<BIBI", 1, 3, 0, 8) + bytes(8), "a: 8 bytes, shape [3]"),
        (BEGIN + struct.pack("<I", 1) + NAME + struct.pack("<BIIBI", 2, 1 << 31, 1 << 31, 1, 0), "a: 0 bytes"),
        (BEGIN + struct.pack("<I", 2) + 2 * (NAME + struct.pack("<BBI", 0, 1, 1) + b"x"), "a is there twice"),
        (BEGIN + struct.pack("<II", 0, 1) + NAME + NAME, "a is no name for a"),
        (BEGIN + struct.pack("<II", 0, 0), "encoder/num_heads is missing"),
        (BEGIN + struct.pack("<I", 1 << 31), "cut short or damaged"),
    ],
)
def test_damaged_files(shop, parts, data, why):
    (shop.folder / "ct2").mkdir()
    (shop.folder / "ct2" / "model.bin").write_bytes(data)
    said = shop.refuses(*parts(shop.folder / "ct2"))
    assert "model.bin: " in said and why in said


def changed(**changes):
    """name with _ for /, and what takes its place (None: nothing)."""
    return {name.replace("__", "/"): value for name, value in changes.items()}


@pytest.mark.parametrize(
    "changes, why",
    [
        (changed(encoder__layer_1__ffn__linear_0__bias=None), "layers.1.fc1.bias is missing"),
        (changed(encoder__layer_0__self_attention__linear_0__weight=None), "self_attn.q_proj.weight is missing"),
        (changed(encoder__layer_0__self_attention__linear_0__weight=torch.zeros(64, 64)), "expected q, k and v"),
        (changed(encoder__layer_0__self_attention__linear_0__weight=torch.zeros(192, 32)), "shape [64, 32], expected"),
        (changed(encoder__layer_0__self_attention__linear_0__bias=torch.ones(192)), "the keys have a bias"),
        (changed(encoder__layer_0__self_attention__linear_0__bias=torch.tensor(1.0)), "expected q, k and v"),
        (changed(encoder__layer_1__extra__weight=torch.ones(3)), "encoder/layer_1/extra/weight: is no part"),
        (changed(encoder__conv1__weight=torch.ones(64, 80, 3, dtype=torch.int8)), "encoder/conv1/weight: of type int8"),
        (changed(encoder__conv1__weight_scale=torch.ones(3)), "encoder/conv1/weight_scale: shape [3]"),
        (changed(encoder__num_heads=torch.tensor(7, dtype=torch.int16)), "encoder_attention_heads is 7"),
        (changed(encoder__num_heads=torch.tensor(1.0)), "encoder/num_heads is missing or no whole number"),
        (changed(encoder__conv2__bias=torch.full((64,), float("nan"))), "holds a NaN"),
        (changed(encoder__conv1__weight=torch.empty(0, 80, 3)), "encoder/conv1/weight: empty"),
    ],
)
def test_variables_that_are_not_whisper_s(shop, parts, whisper, changes, why):
    variables = make.save_ctranslate2(shop.folder / "ct2", whisper[0]) | changes
    left = {name: value for name, value in variables.items() if value is not None}
    (shop.folder / "ct2" / "model.bin").write_bytes(make.ctranslate2_file(left))
    said = shop.refuses(*parts(shop.folder / "ct2"))
    assert why in said, said
