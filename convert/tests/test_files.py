"""What PyTorch and safetensors write is read as they read it, mapped; what is written is as the gguf package writes it."""

import mmap
import random
import tracemalloc

import gguf
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from convert import ConvertError
from convert.checkpoint import read_checkpoint
from convert.gguf_file import TYPES, Tensor, write_model
from convert.quantise import SIZES, Kind, quantise
from convert.stored import floats

DTYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16, torch.int8,
          torch.uint8, torch.bool]  # fmt: skip
FORMATS = ["zip", "older", "safetensors"]


def save(tensors, path, form):
    if form == "safetensors":
        save_file({name: tensor.detach().contiguous() for name, tensor in tensors.items()}, path)
    else:
        torch.save(tensors, path, _use_new_zipfile_serialization=form == "zip")
    return path


def check(path, tensors):
    """Every tensor of a file is what torch has."""
    stored = read_checkpoint(path)
    assert stored.keys() == tensors.keys()
    for name, tensor in tensors.items():
        array = stored[name].read()
        assert stored[name].shape == array.shape == tuple(tensor.shape), name
        assert array.flags.owndata is False and array.flags.writeable is False and maps_a_file(array), name
        np.testing.assert_array_equal(floats(array), tensor.detach().float().numpy(), err_msg=name)


def maps_a_file(array):
    while isinstance(array, np.ndarray):
        array = array.base
    return isinstance(array, (mmap.mmap, memoryview))


def some(dtype, shape):
    return (torch.randn(shape, dtype=torch.float64) * 50).to(dtype)


@pytest.mark.parametrize("form", FORMATS)
def test_every_type_and_shape(tmp_path, form):
    torch.manual_seed(1)
    shapes = ((), (5,), (3, 4), (2, 3, 4), (0, 3))
    tensors = {f"{dtype} {shape}": some(dtype, shape) for dtype in DTYPES for shape in shapes}
    check(save(tensors, tmp_path / "x", form), tensors)


@pytest.mark.parametrize("form", ["zip", "older"])
def test_views_of_shared_storages(tmp_path, form):
    whole = torch.arange(120, dtype=torch.float32).reshape(2, 5, 12).bfloat16()
    tensors = {
        "whole": whole, "turned": whole.permute(2, 0, 1), "inside": whole[1, 1:4, 3:9], "every third": whole[:, :, 1::3],
        "repeated": whole[1, 2, 4].expand(6, 7), "last": whole[1, 4, 11], "diagonal": whole[0].diagonal(), "none": whole[:, 5:],
    }  # fmt: skip
    path = save(tensors, tmp_path / "x.pth", form)
    check(path, tensors)
    assert path.stat().st_size < 4000


@pytest.mark.parametrize("form", ["zip", "older"])
def test_parameters_states_and_what_is_no_tensor(tmp_path, form):
    module = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.LayerNorm(3), torch.nn.BatchNorm1d(3))
    state = module.state_dict()
    assert state._metadata
    check(save(state, tmp_path / "state.bin", form), state)
    parameters = dict(module.named_parameters())
    parameters["0.bias"].mark = "an attribute"
    check(save(parameters, tmp_path / "parameters.bin", form), parameters)
    rest = {
        "step": 3, "rate": 0.1, "name": "é", "list": [1, [2.5, None, True]], "inner": {"x": torch.zeros(2)},
        "type": torch.bfloat16, "shape": torch.Size([1, 2]), "large": 1 << 60, 7: False,
    }  # fmt: skip
    check(save({**state, **rest}, tmp_path / "all.bin", form), state)


def test_a_file_of_another_name_inside(tmp_path):
    """Files that were renamed keep the folder of the name that they were saved under."""
    state = {"x": torch.randn(3)}
    check(save(state, tmp_path / "first.pth", "zip").rename(tmp_path / "second.pth"), state)


@pytest.mark.parametrize("names", range(1, 40))
def test_the_length_of_a_header_looks_like_nothing_else(tmp_path, names):
    """The first bytes of .safetensors are a number, which may begin as a pickle does."""
    tensors = {f"{'n' * names}{n}": torch.randn(2) for n in range(names)}
    check(save(tensors, tmp_path / "x", "safetensors"), tensors)


def test_bfloat16_is_torch_s():
    every = torch.arange(1 << 16, dtype=torch.int32).to(torch.int16).view(torch.bfloat16)
    array = every.view(torch.int16).numpy().view([("bfloat16", "<u2")])
    np.testing.assert_array_equal(floats(array), every.float().numpy())
    np.testing.assert_array_equal(floats(array.reshape(256, 256).T[3:5]), every.float().numpy().reshape(256, 256).T[3:5])


def hard(rows=64, columns=96):
    """Values of every size, halves between two steps, blocks of zeros, of one value and of subnormal numbers."""
    rng = np.random.default_rng(3)
    x = (rng.standard_normal((rows, columns)) * 10.0 ** rng.integers(-12, 5, (rows, 1))).astype(np.float32)
    x[0], x[1], x[2] = 0, -1.5, np.linspace(-127, 127, columns).round() + 0.5
    x[3, :32], x[4, :32], x[5] = 1e-40, -0.0, np.where(np.arange(columns) % 32, np.arange(columns) / 8, -8)
    return x


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_quantised_bytes_are_those_of_gguf(kind):
    x = hard()
    assert quantise(x, kind).tobytes() == gguf.quants.quantize(x, gguf.GGMLQuantizationType(kind)).tobytes()
    turned = np.ascontiguousarray(x.T).T
    assert quantise(turned, kind).tobytes() == quantise(x, kind).tobytes()
    assert gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType(kind)] == SIZES[kind]


def test_float32_becomes_bfloat16_as_in_torch():
    bits = np.random.default_rng(4).integers(0, 1 << 32, 1 << 20, dtype=np.uint32)
    bits[:6] = 0x3F808000, 0x3F818000, 0x3F807FFF, 0x3F808001, 0x7F7FFFFF, 0x7F800000
    x = bits.view(np.float32)
    ours = torch.from_numpy(quantise(x, Kind.BF16).view(np.int16).copy()).view(torch.bfloat16).float().numpy()
    np.testing.assert_array_equal(ours, torch.from_numpy(x.copy()).bfloat16().float().numpy())


def test_the_file_is_that_of_the_gguf_package(tmp_path):
    rng = np.random.default_rng(5)
    shapes = {"a": (3, 64), "vector": (7,), "kernel": (2, 3, 32), "é": (1, 32)}
    arrays = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    kinds = dict(zip(arrays, (Kind.Q8_0, Kind.F32, Kind.Q4_0, Kind.BF16)))

    def fill(writer):
        writer.add_name("ünï")
        writer.add_license("")
        writer.add_uint32("n", 7)
        writer.add_uint32("n", 8)
        writer.add_float32("x", 0.1)
        writer.add_bool("yes", True)

    tensors = [Tensor(name, array.shape, kinds[name], lambda array=array: array, name) for name, array in arrays.items()]

    def fill_ours(writer):
        fill(writer)
        writer.add_ids("ids", [1, 2])
        writer.add_letters(["", "é"])

    write_model(tmp_path / "ours.gguf", fill_ours, tensors)
    theirs = gguf.GGUFWriter(tmp_path / "theirs.gguf", "earshot")
    fill(theirs)
    theirs.add_key_value("ids", [1, 2], gguf.GGUFValueType.ARRAY, gguf.GGUFValueType.UINT32)
    theirs.add_key_value("earshot.encoder.letters", ["", "é"], gguf.GGUFValueType.ARRAY, gguf.GGUFValueType.STRING)
    for name, array in arrays.items():
        kind = gguf.GGMLQuantizationType(kinds[name])
        theirs.add_tensor(name, gguf.quants.quantize(array, kind).view(np.uint8), raw_dtype=kind)
    theirs.write_header_to_file()
    theirs.write_kv_data_to_file()
    theirs.write_tensors_to_file()
    theirs.close()
    assert (tmp_path / "ours.gguf").read_bytes() == (tmp_path / "theirs.gguf").read_bytes()


def test_types_are_numbered_as_in_gguf():
    for name, kind in TYPES.items():
        assert gguf.GGMLQuantizationType(kind).name.lower() == name


@pytest.mark.parametrize("form", FORMATS)
def test_damage_anywhere_is_refused_or_read(tmp_path, form):
    """Bytes that are changed, cut off or doubled: a ConvertError, or tensors that can be read."""
    state = {"x": torch.randn(3, 5), "y": torch.nn.Parameter(torch.randn(4).half()), "z": torch.arange(6).reshape(2, 3).T, "n": 3}
    path, rng = tmp_path / "x", random.Random(6)
    save({name: value for name, value in state.items() if form != "safetensors" or name != "n"}, path, form)
    whole = path.read_bytes()
    for _ in range(1500):
        data = bytearray(whole)
        for _ in range(rng.choice((1, 1, 2, 5))):
            data[rng.randrange(len(data))] = rng.choice((0, 1, 0x28, 0x52, 0x7F, 0x80, 0xFF, rng.randrange(256)))
        at = rng.randrange(len(data))
        data = rng.choice((data, data, data[:at], data[:at] + data[at // 2 :]))
        path.write_bytes(data)
        try:
            for stored in read_checkpoint(path).values():
                if stored.read:
                    floats(stored.read())
        except ConvertError as e:
            assert "\n" not in str(e)


def test_no_file_is_held_in_memory(tmp_path):
    """Reading one row of a tensor of 64 MB takes no more than that row."""
    for form in FORMATS:
        path = save({"x": torch.zeros(4096, 4096)}, tmp_path / form, form)
        tracemalloc.start()
        assert floats(read_checkpoint(path)["x"].read()[7:8]).sum() == 0
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
        tracemalloc.stop()
