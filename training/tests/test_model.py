"""What the C program relies on: causality, row counts, the layout and rounding of the exported file."""

from functools import partial

import numpy as np
import pytest
import torch

from training import checkpoint, export
from training.model import Adapter, AdapterConfig, BackboneConfig, Encoder, EncoderConfig

SMALL = EncoderConfig(dim=32, layers=2, heads=2, ffn=64, window=8, conv_kernel=5)
TINY = BackboneConfig(vocab=270, dim=128, layers=2, ffn=128, rank_w=8, rank_a=8, rank_v=8, rank_g=8)


def test_the_encoder_never_looks_ahead():
    torch.manual_seed(1)
    encoder, mel = Encoder(SMALL).eval(), torch.randn(1, 60, 80)
    whole = encoder(mel)
    for frames in (2, 3, 20, 41):
        part = encoder(mel[:, :frames])
        assert part.shape[1] == frames // 2
        torch.testing.assert_close(part, whole[:, : frames // 2], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("config", [AdapterConfig(3, 2, 2), AdapterConfig(5, 4, 2)])
@pytest.mark.parametrize("rows", [1, 2, 3, 4, 7, 50])
def test_the_adapter_has_a_row_for_each_stride(config, rows):
    expected = (rows + 2 * config.padding - config.kernel) // config.stride + 1
    assert Adapter(config, 32, 128)(torch.zeros(1, rows, 32)).shape[1] == expected


@pytest.mark.parametrize("kind", ["f32", "q8_0", "q4_0"])
def test_an_exported_file_reads_back(kind, tmp_path):
    from gguf import GGUFReader, dequantize

    torch.manual_seed(1)
    config = checkpoint.configs(SMALL, AdapterConfig(5, 4, 2), TINY)
    model = checkpoint.build(config)
    vocab = [b""] + [bytes([n]) for n in range(256)] + [b"x" * n for n in range(2, 15)]
    notice = export.NOTICE.read_text(encoding="utf-8")
    export.write_gguf(tmp_path / "m.gguf", model.state_dict(), config | {"notice": notice}, vocab,
                      partial(export.type_of, wanted=export.TYPES[kind]))  # fmt: skip
    reader = GGUFReader(tmp_path / "m.gguf")
    assert reader.get_field("earshot.notice").contents() == notice
    seen = export.file_tensors(export.quantised(model.state_dict(), kind))
    for tensor in reader.tensors:
        array = dequantize(tensor.data, tensor.tensor_type).reshape(seen[tensor.name].shape)
        np.testing.assert_allclose(array, seen[tensor.name], atol=1e-6)
    assert len(reader.tensors) == len(seen)
