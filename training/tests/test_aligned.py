"""The aligned recipe: paths against training/align.py's, the schedule of pieces, greedy captions a row at a time."""

import random

import numpy as np
import pytest
import torch

from training.align import best_path
from training.aligned import AlignedConfig, Listener, Script, best_paths, guess, letters_of, listen, text_of
from training.answers import Answers, appended
from training.ear import Ear, EarConfig
from training.export import INTENT, REPLY
from training.model import AdapterConfig, BackboneConfig
from training.reading import IGNORED, shifted
from training.train_aligned import wanted_ids

TOKENS = [b""] + [bytes([i]) for i in range(256)] + [b"\x16Reply:", b" the", b" c", b"at", b" sat"]


def encode(text):
    from convert import vocabulary

    return vocabulary.Encoder(TOKENS)(text)


def small_listener(block=4, left=8):
    torch.manual_seed(3)
    ear = EarConfig(dim=32, layers=2, heads=2, ffn=64, positions=200, block=block, left=left)
    backbone = BackboneConfig(vocab=len(TOKENS), dim=64, layers=2, ffn=64, rank_w=8, rank_a=8, rank_v=8, rank_g=8)
    model = Listener(ear, AdapterConfig(5, 4, 2), backbone, AlignedConfig(2))
    for block in model.backbone.blocks:  # they begin as zeros, which would leave the rows as they are
        torch.nn.init.normal_(block.att.output.weight, std=0.3)
        torch.nn.init.normal_(block.ffn.value.weight, std=0.3)
    return model.eval()


def test_letters_are_words_without_marks():
    assert letters_of("Well, it's  Tuesday!") == "well it's tuesday"


def test_a_script_has_pieces_and_letters():
    script = Script(encode, "The cat sat.")
    assert b"".join(TOKENS[i] for i in script.ids) == b" The cat sat."
    assert len(script.letters) == len("the cat sat")
    assert Script(encode, "").ids == [] and Script(encode, "").letters == []


@pytest.mark.parametrize("seed", range(4))
def test_batched_paths_are_the_ones_of_a_clip_alone(seed):
    rng = np.random.default_rng(seed)
    log_probs = torch.from_numpy(rng.standard_normal((3, 40, 6)).astype(np.float32)).log_softmax(-1)
    rows, targets = [40, 31, 22], [[1, 2, 2, 5], [3], [4, 4, 4, 1, 2]]
    found = best_paths(log_probs, rows, targets)
    for b, (n, target) in enumerate(zip(rows, targets)):
        path = best_path(log_probs[b, :n].numpy(), target)
        assert found[b] == [int(np.flatnonzero(path == 2 * k + 1)[0]) for k in range(len(target))]


def test_a_clip_too_short_for_its_text_has_no_path():
    log_probs = torch.zeros(1, 3, 6).log_softmax(-1)
    assert best_paths(log_probs, [3], [[1, 1, 2]]) == [None]


def test_a_piece_is_due_where_the_guesses_have_it():
    script = Script(encode, " the cat")  # " " and " the", " c", "at"
    ids, rows = script.ids, [2, 3, 7, 8]
    guesses = torch.full((2, 12, len(TOKENS)), -9.0)
    guesses[:, :, 0] = -1.0
    for i, row in zip(ids, rows):
        guesses[:, row, i] = -0.1
    wanted = wanted_ids(guesses, torch.tensor([10, 3]), [script, script])
    assert wanted[0].tolist() == [0, 0, ids[0], ids[1], 0, 0, 0, ids[2], ids[3], 0, IGNORED, IGNORED]
    assert wanted[1].tolist() == [IGNORED] * 12  # too short for its text


def test_a_backbone_without_blocks_says_what_the_guesses_say():
    model = small_listener()
    for block in model.backbone.blocks:
        torch.nn.init.zeros_(block.att.output.weight)
        torch.nn.init.zeros_(block.ffn.value.weight)
    mel, frames = torch.randn(2, 80, 80) * 0.3, torch.tensor([80, 64])
    rows, _ = model.hear(mel, frames)
    alone = model.logits(rows, torch.zeros(rows.shape[:2], dtype=torch.long)).float().log_softmax(-1)
    assert torch.allclose(alone, model.guesses(rows), atol=0.1)  # of bf16 where the processor has it


def test_repeats_of_a_guess_are_one():
    model = small_listener()
    mel, frames = torch.randn(2, 160, 80) * 0.3, torch.tensor([160, 128])
    ids, probs = guess(model, mel, frames)
    best, first = model.guesses(model.hear(mel, frames)[0]).max(-1)
    assert torch.equal(probs, best.exp())
    for row, path in zip(ids.tolist(), first.tolist()):
        assert row == [i if k == 0 or i != path[k - 1] else 0 for k, i in enumerate(path)]
    assert (ids != first).any()


def test_greedy_captions_are_those_of_a_row_at_a_time():
    model = small_listener()
    mel, frames = torch.randn(2, 80, 80) * 0.3, torch.tensor([80, 64])
    found, _ = listen(model, mel, frames)
    rows, _ = model.hear(mel, frames)
    ids = torch.zeros(found.shape, dtype=torch.long)
    for t in range(ids.shape[1]):
        ids[:, t] = model.logits(rows[:, : t + 1], shifted(ids[:, : t + 1]))[:, t].argmax(-1)
    assert torch.equal(found, ids)
    assert len(found.unique()) > 2


def test_rows_of_a_block_do_not_see_what_follows_it():
    ear = Ear(EarConfig(dim=32, layers=2, heads=2, ffn=64, positions=200, block=4, left=8)).eval()
    mel = torch.randn(1, 64, 80) * 0.3
    other = torch.cat([mel[:, :41], torch.randn(1, 23, 80) * 0.3], 1)  # rows 0 .. 19 see frames up to 40
    frames = torch.tensor([64])
    with torch.no_grad():
        one, two = ear(mel, frames), ear(other, frames)
    assert torch.allclose(one[:, :20], two[:, :20], atol=1e-6)
    assert not torch.allclose(one[:, 20:], two[:, 20:], atol=1e-3)


def test_padding_behind_a_clip_does_not_matter():
    ear = Ear(EarConfig(dim=32, layers=2, heads=2, ffn=64, positions=200, block=4, left=8)).eval()
    mel = torch.randn(1, 46, 80) * 0.3
    padded = torch.cat([mel, torch.randn(1, 30, 80)], 1)
    frames = torch.tensor([46])
    with torch.no_grad():
        assert torch.allclose(ear(mel, frames), ear(padded, frames)[:, :23], atol=1e-5)


def test_text_is_what_the_rows_gave():
    assert text_of(TOKENS, [0, 258, 0, 259, 260, 0]) == "the cat"


def test_answers_are_those_of_the_words():
    given, wanted = zip(*(Answers(encode, random.Random(seed))("Set a timer for five minutes.") for seed in range(8)))
    said = {prompt: b"".join(TOKENS[i] for i in rest) for prompt, *rest in given}
    assert said == {REPLY: b" A timer for five minutes.", INTENT: b" timer.set duration=five minutes"}
    assert all(list(w) == [*g[1:], 0] for g, w in zip(given, wanted))
    nothing = Answers(encode, random.Random(1))("The moon was high above the village.")
    assert nothing[0] in ([REPLY], [INTENT]) and nothing[1] == [0]


def test_an_answer_stands_behind_its_hearing():
    rows, given = torch.ones(2, 4, 3), torch.tensor([[0, 5, 0, 0], [0, 6, 0, 0]])
    wanted = torch.tensor([[5, 0, 0, IGNORED], [6, 0, IGNORED, IGNORED]])
    rows, given, wanted = appended(rows, given, wanted, torch.tensor([3, 2]), [([258, 7], [7, 0]), None])
    assert given.tolist() == [[0, 5, 0, 258, 7, 0], [0, 6, 0, 0, 0, 0]]
    assert wanted.tolist() == [[5, 0, 0, 7, 0, IGNORED], [6, 0, *[IGNORED] * 4]]
    assert rows[..., 0].tolist() == [[1, 1, 1, 0, 0, 0], [1, 1, 0, 0, 0, 0]]
