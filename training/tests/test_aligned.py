"""The aligned recipe: scripts, best paths, what follows a hearing, blocks of rows."""

import random

import pytest
import torch

from training.aligned import AlignedConfig, Listener, Script, greedy, letters_of, text_of
from training.answers import Answers, appended
from training.ear import Ear, EarConfig
from training.export import INTENT, REPLY, TEXT
from training.model import AdapterConfig, BackboneConfig
from training.reading import IGNORED
from training.train_aligned import caption_losses, reading_loss

TOKENS = [b""] + [bytes([i]) for i in range(256)] + [b"\x16Caption:", b"\x16Reply:", b"\x16Text:", b"\x16Intent:", b" the", b" c", b"at", b" sat"]


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


def test_a_backbone_without_blocks_says_what_the_guesses_say():
    model = small_listener()
    for block in model.backbone.blocks:
        torch.nn.init.zeros_(block.att.output.weight)
        torch.nn.init.zeros_(block.ffn.value.weight)
    mel, frames = torch.randn(2, 80, 80) * 0.3, torch.tensor([80, 64])
    _, rows, _ = model.hear(mel, frames)
    assert torch.allclose(model.pieces(rows), model.guesses(rows), atol=0.1)  # of bf16 where the processor has it


def test_repeats_of_a_piece_are_one():
    log_probs = torch.full((1, 7, 4), -9.0)
    log_probs[0, range(7), [0, 2, 2, 0, 2, 3, 3]] = -0.1
    assert greedy(log_probs).tolist() == [[0, 2, 0, 0, 2, 3, 0]]


def small_ear(block, ahead, left=8):
    torch.manual_seed(5)
    return Ear(EarConfig(dim=32, layers=2, heads=2, ffn=64, positions=200, block=block, ahead=ahead, left=left)).eval()


@torch.no_grad()
def test_rows_see_their_block_and_what_is_ahead_of_it():
    ear = small_ear(4, 2)
    mel = torch.randn(1, 64, 80) * 0.3
    other = torch.cat([mel[:, :45], torch.randn(1, 19, 80) * 0.3], 1)  # rows 0 .. 21 see frames up to 44
    frames = torch.tensor([64])
    one, two = ear(mel, frames), ear(other, frames)
    assert torch.allclose(one[:, :20], two[:, :20], atol=1e-6)
    assert not torch.allclose(one[:, 20:], two[:, 20:], atol=1e-3)
    less = small_ear(4, 0)
    assert not torch.allclose(one[:, :20], less(mel, frames)[:, :20], atol=1e-3)


def one_after_the_other(ear, mel, block, ahead, left):
    """Rows of a clip [1, F, 80] as a program that keeps keys and values makes them: a block and those ahead of it at a time."""
    x, kept, done = ear.stem(mel, torch.tensor([mel.shape[1]])), [None] * len(ear.blocks), []
    for first in range(0, x.shape[1], block):
        y = x[:, first : first + block + ahead]
        for n, layer in enumerate(ear.blocks):
            z, attn = layer.ln1(y), layer.attn
            q, k, v = (f(z).unflatten(-1, (attn.heads, -1)).transpose(1, 2) for f in (attn.q, attn.k, attn.v))
            own = k[:, :, :block], v[:, :, :block]
            if kept[n]:
                k, v = (torch.cat([old[:, :, -left:], new], 2) for old, new in zip(kept[n], (k, v)))
                own = tuple(torch.cat(both, 2) for both in zip(kept[n], own))
            kept[n] = own
            heard = (q @ k.transpose(2, 3) / q.shape[-1] ** 0.5).softmax(-1) @ v
            y = y + attn.out(heard.transpose(1, 2).flatten(2))
            y = y + layer.ffn(layer.ln2(y))
        done.append(y[:, :block])
    return ear.ln_post(torch.cat(done, 1))


@torch.no_grad()
@pytest.mark.parametrize("block, ahead, left", [(4, 0, 8), (4, 2, 8), (8, 4, 8), (3, 5, 7)])
def test_blocks_are_as_if_one_came_after_the_other(block, ahead, left):
    ear = small_ear(block, ahead, left)
    mel, frames = torch.randn(2, 64, 80) * 0.3, torch.tensor([64, 38])
    for clip, count, found in zip(mel, frames.tolist(), ear(mel, frames)):
        assert torch.allclose(found[: count // 2], one_after_the_other(ear, clip[None, :count], block, ahead, left)[0], atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("block", [None, 8, 100])
def test_padding_behind_a_clip_does_not_matter(block):
    ear = small_ear(4, 2)
    mel = torch.randn(1, 46, 80) * 0.3
    padded = torch.cat([mel, torch.randn(1, 30, 80)], 1)
    frames = torch.tensor([46])
    assert torch.allclose(ear(mel, frames, block), ear(padded, frames, block)[:, :23], atol=1e-5)


def test_text_is_what_the_rows_gave():
    assert text_of(TOKENS, [0, 261, 0, 262, 263, 0]) == "the cat"


def test_answers_are_those_of_the_words():
    read = [TEXT, *encode(" Set a timer for five minutes.")]
    found = [Answers(encode, random.Random(seed))("Set a timer for five minutes.") for seed in range(8)]
    assert all(given[: len(read)] == read and set(wanted[: len(read)]) == {IGNORED} for given, wanted in found)
    asked = [(given[len(read) :], wanted[len(read) :]) for given, wanted in found]
    said = {prompt: b"".join(TOKENS[i] for i in rest) for (prompt, *rest), _ in asked}
    assert said == {REPLY: b" A timer for five minutes.", INTENT: b" timer.set duration=five minutes"}
    assert all(wanted == [*given[1:], 0] for given, wanted in asked)
    given, wanted = Answers(encode, random.Random(1))("The moon was high above the village.")
    assert given[-1] in (REPLY, INTENT) and wanted[-1] == 0 and set(wanted[:-1]) == {IGNORED}


def test_an_answer_stands_behind_its_hearing():
    answers = [([259, 7, 258], [IGNORED, IGNORED, 0]), ([259, 258], [IGNORED, 0])]
    rows, given, wanted = appended(torch.ones(2, 4, 3), torch.tensor([3, 2]), answers)
    assert given.tolist() == [[0, 0, 0, 259, 7, 258, 0], [0, 0, 259, 258, 0, 0, 0]]
    assert wanted.tolist() == [[*[IGNORED] * 5, 0, IGNORED], [*[IGNORED] * 3, 0, *[IGNORED] * 3]]
    assert rows[..., 0].tolist() == [[1, 1, 1, 0, 0, 0, 0], [1, 1, 0, 0, 0, 0, 0]]


def test_an_utterance_and_its_answer_give_every_part_of_the_model_a_gradient():
    model = small_listener().train()
    answers = Answers(encode, random.Random(2))
    script = Script(encode, "Set a timer for five minutes.")
    mel, frames = torch.randn(1, 400, 80) * 0.3, torch.tensor([400])
    _, rows, log_probs = model.hear(mel, frames)
    counts = frames // 8
    piece, answer = caption_losses(model, rows, counts, [script], answers)
    (piece + answer + reading_loss(model, ["Set a timer for five minutes."], answers)).backward()
    assert piece > 0 and answer > 0
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in (model.encoder.conv1.weight, model.backbone.emb.weight,
               model.adapter.conv.weight, model.backbone.blocks[1].ffn.key.weight))  # fmt: skip
