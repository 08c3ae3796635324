"""Who is held out stays out, however a corpus writes the name."""

import hashlib

import pytest

from training.gather import Clip, Exclusions


@pytest.fixture
def exclude(tmp_path):
    header = "path\tsplit\tset\tseconds\tspeaker\ttext\tlicence"
    rows = ["a\tdev\tread\t1.0\tls19\tone\tX", "b\ttrain\tread\t1.0\tls26\ttwo\tX", "c\tdev\tnoise\t1.0\t\t\tX"]
    (tmp_path / "manifest.tsv").write_text("\n".join([header, *rows]) + "\n")
    digest = hashlib.sha256(b"held out").hexdigest()
    (tmp_path / "exclude.tsv").write_text(f"# what\ntext_sha256\t{digest}\nlibrispeech_speaker\t84\ncv_client_id_begins\tabc\n")
    return Exclusions(tmp_path / "exclude.tsv", tmp_path)


@pytest.mark.parametrize(
    ("speaker", "written", "is_out"),
    [("ls-19", "Hello.", True), ("LS_19", "Hello.", True), ("ls-26", "Hello.", False), ("ls-84", "Hello.", True),
     ("abcdef", "Hello.", True), ("xyz", "Held out!", True), ("", "Hello.", False)],
)  # fmt: skip
def test_held_out(exclude, speaker, written, is_out):
    assert exclude.has(Clip(path="x.mp3", written=written, text="", speaker=speaker)) == is_out
