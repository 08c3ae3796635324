"""A model file read back: what was written, in the precision of the file."""

from functools import partial

import numpy as np
import pytest
import torch

from training import export, language, restore, train_aligned
from training.language import packed
from training.tests.test_language import model as counted

SHAPE = {
    "encoder": {"dim": 64, "layers": 2, "heads": 2, "ffn": 96, "mel_bins": 80, "positions": 40, "block": 4, "ahead": 4, "left": 8},
    "adapter": {"kernel": 5, "stride": 4, "padding": 2},
    "backbone": {"vocab": 300, "dim": 64, "layers": 2, "head_size": 64, "ffn": 128, "rank_w": 32, "rank_a": 32, "rank_v": 32, "rank_g": 64},
    "aligned": {"delay_rows": 3, "letters": ["", " ", "a", "b"]},
    "intent": [260],
}


@pytest.mark.parametrize("kind", ["f32", "q8_0"])
def test_run_of_a_file(tmp_path, kind):
    torch.manual_seed(3)
    model = train_aligned.from_config(SHAPE)
    whole = model.state_dict()
    vocab = [b"", *(bytes([n]) for n in range(256)), *(b"x" * n for n in range(2, 45))]
    state = {key: value for key, value in whole.items() if not key.startswith(export.TAUGHT)} | export.phones_head(whole)
    export.write_gguf(tmp_path / "m.gguf", state, SHAPE, vocab, partial(export.type_of, wanted=export.TYPES[kind]))
    run = restore.run(tmp_path / "m.gguf")
    assert run["vocab"] == vocab
    assert run["config"] == SHAPE | {"intent": [export.INTENT]}
    again = train_aligned.from_config(run["config"])
    again.load_state_dict(run["model"])
    seen = {name.replace("encoder.phones.", "head."): value for name, value in export.quantised(state, kind).items()}
    assert set(seen) == set(again.state_dict())
    for name, value in again.state_dict().items():
        torch.testing.assert_close(value, seen[name], atol=1e-6, rtol=0, msg=name)


def test_language_of_a_file(tmp_path):
    arrays = packed(counted(3))
    config = SHAPE | {"language": language.for_file(arrays), "letters_weight": 0.5}
    export.write_gguf(tmp_path / "m.gguf", {}, config, [b"", b"a"], partial(export.type_of, wanted=export.TYPES["f32"]))
    found = restore.language(tmp_path / "m.gguf")
    assert set(found) == set(arrays)
    for key, value in arrays.items():
        np.testing.assert_array_equal(found[key], value)


def test_another_model_is_refused(tmp_path):
    config = {key: value for key, value in SHAPE.items() if key != "aligned"}
    export.write_gguf(tmp_path / "m.gguf", {}, config, [b""], partial(export.type_of, wanted=export.TYPES["f32"]))
    with pytest.raises(ValueError, match="m.gguf: no model with aligned captions"):
        restore.run(tmp_path / "m.gguf")
