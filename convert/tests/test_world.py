"""The World vocabulary of the public rwkv package, against what its own tokenizer made of a text (make_encoders.py)."""

import numpy as np
import pytest

from convert import ConvertError, vocabulary
from convert.tests.conftest import ROOT, make

GOLDEN = ROOT / "tests" / "golden"


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    try:
        return vocabulary.find(tmp_path_factory.mktemp("empty") / "model.pth")
    except ConvertError:
        pytest.skip("the rwkv package, which has the World vocabulary, is not installed")


def test_the_text_becomes_the_same_tokens(path):
    tokens = vocabulary.read(path, 65536)
    expected = np.load(GOLDEN / "world_tokens.npy").tolist()
    text = (GOLDEN / "world_text.txt").read_bytes()
    assert vocabulary.Encoder(tokens)(text) == expected
    assert b"".join(tokens[n] for n in expected) == text
    assert tokens[24] == b"\x17" and tokens[65529] == b" " * 128 and tokens[65530:] == [b""] * 6


def test_a_model_with_fewer_rows_is_refused(path, shop):
    said = shop.refuses(shop.save(make.backbone("rwkv7-mini")), "--vocab", path)
    assert "line 320: id 320 is beyond the 320 rows" in said
