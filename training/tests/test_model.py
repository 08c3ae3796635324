"""What the C program relies on: causality, row counts, label positions, the layout and rounding of the exported file."""

from functools import partial

import numpy as np
import pytest
import torch

from training import checkpoint, export, sequence
from training.hearing import adapter_rows, pool
from training.model import AdapterConfig, Backbone, BackboneConfig, Encoder, EncoderConfig
from training.phones import BLANK, CLASSES

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
def test_pooled_features_have_a_row_for_each_adapter_row(config, rows):
    from training.model import Adapter

    probabilities = torch.full((1, rows, CLASSES), 0.0)
    probabilities[..., BLANK] = 1
    assert pool(probabilities, config).shape[1] == adapter_rows(rows, config)
    assert Adapter(config, 32, 128)(torch.zeros(1, rows, 32)).shape[1] == adapter_rows(rows, config)


def test_labels_follow_their_positions():
    torch.manual_seed(1)
    backbone, rows = Backbone(TINY), torch.randn(2, 4, 128)
    x, labels = sequence.assemble(backbone, rows, torch.tensor([4, 2]), [[257], [258]], [[65, 66], []])
    ignored = sequence.IGNORED
    assert labels.tolist() == [[ignored] * 4 + [65, 66, 24], [ignored] * 2 + [24] + [ignored] * 4]
    torch.testing.assert_close(x[1, :2], rows[1, :2])
    torch.testing.assert_close(x[0, 5], backbone.emb.weight[65])


def test_decoding_writes_what_the_loss_taught():
    torch.manual_seed(1)
    backbone, rows = Backbone(TINY), torch.randn(1, 3, 128)
    optimizer = checkpoint.optimiser([(backbone, 1.0)], 3e-3)
    for _ in range(40):
        x, labels = sequence.assemble(backbone, rows, torch.tensor([3]), [[257]], [[70, 71, 71, 72]])
        sequence.text_loss(backbone, x, labels)[0].backward()
        checkpoint.take_step(optimizer, 3e-3)
    assert sequence.decode(backbone, rows, torch.tensor([3]), [257], 10) == [[70, 71, 71, 72]]


def test_encoding_is_greedy_and_longest():
    encoding = sequence.Encoding([b""] + [bytes([n]) for n in range(256)] + [b"\x16Caption:", b" set", b" se", b"ts"])
    assert encoding.encode("sets") == [258, ord("s") + 1]
    assert encoding.decode(encoding.encode("sets")) == "sets"
    assert encoding.encode("") == []


@pytest.mark.parametrize("kind", ["f32", "q8_0", "q4_0"])
def test_an_exported_file_reads_back(kind, tmp_path):
    from gguf import GGUFReader, dequantize

    torch.manual_seed(1)
    config = checkpoint.configs(SMALL, AdapterConfig(5, 4, 2), TINY)
    model = checkpoint.build(config)
    vocab = [b""] + [bytes([n]) for n in range(256)] + [b"x" * n for n in range(2, 15)]
    export.write_gguf(tmp_path / "m.gguf", model.state_dict(), config, vocab, partial(export.type_of, wanted=export.TYPES[kind]))
    reader = GGUFReader(tmp_path / "m.gguf")
    seen = export.file_tensors(export.quantised(model.state_dict(), kind))
    for tensor in reader.tensors:
        array = dequantize(tensor.data, tensor.tensor_type).reshape(seen[tensor.name].shape)
        np.testing.assert_allclose(array, seen[tensor.name], atol=1e-6)
    assert len(reader.tensors) == len(seen)
