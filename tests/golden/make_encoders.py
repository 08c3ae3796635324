"""Golden vectors of public encoders, checkpoints and the tokenizer: whisper, wavlm_*, generation_*, world_*.

    python tests/golden/make_encoders.py         from the repository's root, with transformers and convert's requirements

Tiny random models of transformers' own classes, and a tiny RWKV-7, become model files through tools/convert; the
vectors come from transformers over tests/golden/pcm.npy, and the text from the public `rwkv` package (CPU float32). All
weights are exact in half precision, so the F16 matrices are exact; WavLM's positional kernel is rounded in the file and
the reference takes it from there.

    whisper_mel [2 K, 80]               K = 126 rows are kept of 30 s
    whisper_stem, _layer0, _layer1, _encoder [K, 64], _adapter [R, 64]      stem: what enters layer 0
    wavlm_{base,large}_conv [L, 32]     after the seven convolutions
    wavlm_{base,large}_stem, _layer0, _layer1, _encoder [L, 64], _adapter [R, 64]
    wavlm_buckets [4001] int32          of the distances -2000 .. 2000
    generation_{old,new}.npy [64] int32: the text ids that follow pcm.npy, greedily
    world_text.txt, world_tokens.npy int32: what the rwkv package's World tokenizer makes of the text
"""

import os
import re
import sys
import tempfile
from pathlib import Path

os.environ.update(RWKV_V7_ON="1", RWKV_JIT_ON="0", RWKV_CUDA_ON="0")
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent.parent), str(HERE.parent)]

import gguf
import make_checkpoint as make
import numpy as np
import torch
import torch.nn.functional as F
from rwkv.model import RWKV
from rwkv.rwkv_tokenizer import TRIE_TOKENIZER
from torch.nn.utils import parametrize

from convert import cli, vocabulary

DIM = 64
GREEDY = 64
MARGIN = 0.01  # between the best and the second logit, so that rounding decides nothing
WORDS = [b"User", b"\x16Ass", b"istant", b"t:", b" the", b"\n\n"]
SMALL_WAVLM = {"num_hidden_layers": 1, "intermediate_size": 64}
WORLD_TEXT = (
    "Turn the lights on, please! 3.14159 × 10⁻²  =  0.0314\r\n\tdef f(x):\n        return x ** 2\n\n"
    "\nGrüße aus München; ça va? Żółć. Привет, мир. Γειά. שלום مرحبا नम"
    "स\u094dते 你好，世界。こんにちは 안녕하세요 สวัสดี 😀👨\u200d"
    "👩\u200d👧❤\ufe0f🇩🇪 𒀀\u200b\xa0e\u0301 \x16User:what?\x17\x16Assistant:\x01\x02\x1b[0"
    "m\x7f" + " " * 130 + "=" * 70 + "https://example.org/a_b?c=d&e=%20#f"
)


def write_vocabulary(path):
    tokens = [bytes([n]) for n in range(256)] + WORDS
    path.write_text("".join(f"{n} {token!r} {len(token)}\n" for n, token in enumerate(tokens, 1)))


def convert(out, checkpoint, *options):
    arguments = [
        str(checkpoint),
        "-o",
        str(out),
        "--type",
        "f16",
        "--name",
        f"tiny random {out.stem}",
        *map(str, options),
    ]
    assert cli.main(arguments) == 0
    assert out.stat().st_size < 800_000


def take_from_file(model, path):
    """Give transformers' WavLM the positional kernel that the file holds."""
    conv = model.encoder.pos_conv_embed.conv
    held = next(t for t in gguf.GGUFReader(path).tensors if t.name == "encoder.position.weight")
    parametrize.remove_parametrizations(conv, "weight")
    stored = torch.from_numpy(np.array(held.data, np.float32)).permute(0, 2, 1)
    assert (stored - conv.weight).abs().max() < 1e-3
    conv.weight.data = stored.contiguous()


def adapted(rows, tensors, padding):
    """Encoder rows [L, E] through an adapter -> [R, D]."""
    w = {name: value.float() for name, value in tensors.items()}
    x = F.conv1d(rows.T[None], w["conv.weight"], w["conv.bias"], stride=2, padding=padding)[0].T
    x = F.relu(F.linear(x, w["proj.0.weight"], w["proj.0.bias"]))
    return F.linear(x, w["proj.2.weight"], w["proj.2.bias"])


def watch(encoder, seen):
    """Collect what enters the first layer and what leaves each of them."""

    def entering(module, args, kwargs):
        seen["stem"] = args[0] if args else kwargs["hidden_states"]

    def leaving(number):
        return lambda module, args, out: seen.update({f"layer{number}": out[0] if isinstance(out, tuple) else out})

    encoder.layers[0].register_forward_pre_hook(entering, with_kwargs=True)
    for number, layer in enumerate(encoder.layers):
        layer.register_forward_hook(leaving(number))


def save(name, seen, rows):
    for key, value in seen.items():
        kept = value.reshape(-1, value.shape[-1])[: 2 * rows if key == "mel" else rows]
        array = np.ascontiguousarray(kept, dtype=np.float32)
        np.save(HERE / f"{name}_{key}.npy", array)
        print(f"{name}_{key:10} {array.shape} sd {array.std():.3f} largest {np.abs(array).max():.3f}")


def make_model(name, kind, folder, **changes):
    """A model file HERE/name.gguf from a Hugging Face folder -> (model, extractor, adapter's tensors)."""
    model, extractor = make.encoder(kind, **changes)
    make.save_folder(folder / name, model, extractor)
    adapter = make.adapter(DIM, DIM, hidden=DIM)
    torch.save(adapter, folder / "adapter.pth")
    torch.save(make.backbone("rwkv7-golden-1"), folder / "rwkv.pth")
    options = ("--encoder", folder / name, "--adapter", folder / "adapter.pth", "--vocab", folder / "vocab.txt")
    convert(HERE / f"{name}.gguf", folder / "rwkv.pth", *options)
    return model, extractor, adapter


def golden_whisper(pcm, folder):
    model, extractor, adapter = make_model("whisper", "whisper-mini", folder, encoder_ffn_dim=64)
    inputs = extractor(pcm, sampling_rate=16000, return_tensors="pt", return_attention_mask=True)
    rows = -(-len(pcm) // 160) // 2 + 1
    assert rows == int(inputs["attention_mask"].sum()) // 2 + 1
    seen = {"mel": inputs["input_features"][0].T}
    watch(model.encoder, seen)
    seen["encoder"] = model.encoder(inputs["input_features"]).last_hidden_state[0]
    seen["adapter"] = adapted(seen["encoder"][:rows], adapter, 2)
    save("whisper", seen, rows)


def wavlm_rows(model, extractor, pcm, seen):
    model.feature_extractor.register_forward_hook(lambda module, args, out: seen.update(conv=out[0].T))
    watch(model.encoder, seen)
    inputs = extractor(pcm, sampling_rate=16000, return_tensors="pt")["input_values"]
    return model(inputs).last_hidden_state[0]


def golden_wavlm(name, kind, pcm, folder):
    model, extractor, adapter = make_model(name, kind, folder)
    take_from_file(model, HERE / f"{name}.gguf")
    seen = {}
    seen["encoder"] = wavlm_rows(model, extractor, pcm, seen)
    seen["adapter"] = adapted(seen["encoder"], adapter, 2)
    save(name, seen, len(seen["encoder"]))


def golden_buckets():
    """The bucket of every distance, by transformers' own attention."""
    model, _ = make.encoder("wavlm-mini")
    attention = model.encoder.layers[0].attention
    buckets = attention._relative_positions_bucket(torch.arange(-2000, 2001))
    np.save(HERE / "wavlm_buckets.npy", np.int32(buckets))
    print(f"wavlm_buckets {attention.num_buckets} buckets up to a distance of {attention.max_distance}")


def greedy(backbone, begin, rows, end, folder):
    """The rwkv package over ids, rows and ids, then greedily -> (ids, the smallest margin).

    Rows are given to it as embeddings of ids of their own, beyond the vocabulary.
    """
    vocab = len(backbone["emb.weight"])
    tensors = {name: value.float() for name, value in backbone.items()}
    tensors["emb.weight"] = torch.cat([tensors["emb.weight"], rows])
    torch.save(tensors, folder / "public.pth")
    public = RWKV(model=str(folder / "public"), strategy="cpu fp32")
    logits, state = public.forward([*begin, *range(vocab, vocab + len(rows)), *end], None)
    ids, margin = [], np.inf
    while len(ids) < GREEDY:
        logits[0] = -torch.inf
        best = logits.topk(2)
        margin = min(margin, float(best.values[0] - best.values[1]))
        ids.append(int(best.indices[0]))
        logits, state = public.forward(ids[-1:], state)
    return ids, margin


def golden_generation(name, layout, pcm, folder):
    """A full checkpoint of a layout, converted by the defaults, and its text; the first seed whose text is telling."""
    model, _ = make.encoder("wavlm-mini", **SMALL_WAVLM)
    adapter, state = make.adapter(DIM, DIM, hidden=DIM), make.encoder_state(model)
    for seed in range(100):
        backbone = make.backbone("rwkv7-golden", seed=seed, spare=layout == "older")
        torch.save(make.full(layout, backbone, state, adapter), folder / "full.pth")
        convert(HERE / f"{name}.gguf", folder / "full.pth", "--vocab", folder / "vocab.txt")
        if seed == 0:
            take_from_file(model, HERE / f"{name}.gguf")
            extractor = make.transformers.Wav2Vec2FeatureExtractor(do_normalize=True)
            heard = wavlm_rows(model, extractor, pcm, {})
        settings = {key: field.contents() for key, field in gguf.GGUFReader(HERE / f"{name}.gguf").fields.items()}
        rows = adapted(heard, adapter, settings["earshot.adapter.padding"])
        prompts = [settings[f"earshot.prompt.{key}"] for key in ("audio_begin", "reply")]
        ids, margin = greedy(backbone, prompts[0], rows, prompts[1], folder)
        print(f"{name} seed {seed}: {len(set(ids))} different ids, margin {margin:.4f}")
        if 24 not in ids and len(set(ids)) > GREEDY // 2 and margin > MARGIN:
            np.save(HERE / f"{name}.npy", np.int32(ids))
            return
    raise SystemExit(f"{name}: no seed gives a telling text")


def golden_world():
    """The rwkv package's tokenizer, which ours is checked against."""
    path = Path(sys.modules["rwkv.rwkv_tokenizer"].__file__).parent / vocabulary.NAMES[0]
    public = TRIE_TOKENIZER(str(path))
    ids = public.encode(WORLD_TEXT)
    assert vocabulary.Encoder(vocabulary.read(path, 65536))(WORLD_TEXT) == ids
    assert public.decode(ids) == WORLD_TEXT
    (HERE / "world_text.txt").write_bytes(WORLD_TEXT.encode())
    np.save(HERE / "world_tokens.npy", np.int32(ids))
    print(f"world: {len(WORLD_TEXT.encode())} bytes, {len(ids)} tokens")


@torch.no_grad()
def main():
    make.transformers.utils.logging.disable_progress_bar()
    pcm = np.load(HERE / "pcm.npy")
    wanted = re.compile("|".join(sys.argv[1:]) or ".")
    jobs = {
        "whisper": lambda folder: golden_whisper(pcm, folder),
        "wavlm_base": lambda folder: golden_wavlm("wavlm_base", "wavlm-mini", pcm, folder),
        "wavlm_large": lambda folder: golden_wavlm("wavlm_large", "wavlm-mini-large", pcm, folder),
        "wavlm_buckets": lambda folder: golden_buckets(),
        "generation_old": lambda folder: golden_generation("generation_old", "older", pcm, folder),
        "generation_new": lambda folder: golden_generation("generation_new", "newer", pcm, folder),
        "world": lambda folder: golden_world(),
    }
    for name, job in jobs.items():
        if wanted.search(name):
            with tempfile.TemporaryDirectory() as folder:
                write_vocabulary(Path(folder) / "vocab.txt")
                job(Path(folder))


if __name__ == "__main__":
    main()
