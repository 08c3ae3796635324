"""Golden rows of Whisper base, with its real weights: whisper_base_*, which tests/check_whisper.py compares with.

    python tests/golden/make_whisper_base.py MODEL.BIN        from the repository's root

MODEL.BIN is CTranslate2's file of the multilingual model (tests/support/whisper_base.py); its variables, named as in
transformers, go into transformers' own class, and where the ctranslate2 package is installed its encoder must agree. The
recording is tests/data/reading.flac (LJ Speech, LJ001-0174, public domain). Every STEP-th row is kept.

    whisper_base_{stem,layer0,layer5,encoder} [R, 512]        30 s, as transformers computes them
    whisper_base_alone [R, 512]                               the encoder over the utterance and half a second of silence
    whisper_base_blocks [R, 512]                              in blocks of 16 that see 400 (make_streaming.py)
"""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent.parent), str(HERE)]

import make_streaming as streaming
import numpy as np
import soundfile
import torch
import transformers

from convert import ctranslate2
from convert.stored import floats

STEP = 12
CONFIG = {
    "d_model": 512,
    "encoder_layers": 6,
    "encoder_attention_heads": 8,
    "encoder_ffn_dim": 2048,
    "num_mel_bins": 80,
}


def by_ctranslate2(path, mel):
    """The rows of the ctranslate2 package, or None without it."""
    try:
        import ctranslate2 as package
    except ImportError:
        return None
    model = package.models.Whisper(str(path.parent), compute_type="float32")
    rows = model.encode(package.StorageView.from_array(np.ascontiguousarray(mel.numpy())), to_cpu=True)
    return torch.from_numpy(np.array(rows))[0]


def encode(state, mel, positions):
    """transformers' encoder with so many positions -> {stage: rows}."""
    config = transformers.WhisperConfig(**CONFIG, max_source_positions=positions)
    encoder = transformers.models.whisper.modeling_whisper.WhisperEncoder(config).eval()
    encoder.load_state_dict(state | {"embed_positions.weight": state["embed_positions.weight"][:positions]})
    out = encoder(mel, output_hidden_states=True)
    hidden = [x[0] for x in out.hidden_states]
    last = []
    hook = encoder.layer_norm.register_forward_pre_hook(lambda module, args: last.append(args[0][0]))
    encoder(mel)
    hook.remove()
    return {"stem": hidden[0], "layer0": hidden[1], "layer5": last[0], "encoder": out.last_hidden_state[0]}


def in_earshot_s_names(state):
    """transformers' names -> those of a model file, for make_streaming.blocks."""
    names = {"self_attn.q_proj": "attn.q", "self_attn.k_proj": "attn.k", "self_attn.v_proj": "attn.v",
             "self_attn.out_proj": "attn.out", "self_attn_layer_norm": "ln1", "final_layer_norm": "ln2",
             "fc1": "ffn.0", "fc2": "ffn.2"}  # fmt: skip
    out = {"positions.weight": state["embed_positions.weight"]}
    for name, value in state.items():
        if name.startswith("layers."):
            _, n, *inner, kind = name.split(".")
            out[f"blocks.{n}.{names['.'.join(inner)]}.{kind}"] = value
        elif name.startswith("conv"):
            out[name] = value.permute(0, 2, 1) if name.endswith("weight") else value
        elif name.startswith("layer_norm"):
            out[name.replace("layer_norm", "ln_post")] = value
    return out


def save(name, rows, kept):
    array = np.ascontiguousarray(rows[:kept:STEP], dtype=np.float32)
    np.save(HERE / f"whisper_base_{name}.npy", array)
    print(f"whisper_base_{name:8} {array.shape} sd {array.std():.3f} largest {np.abs(array).max():.3f}")


@torch.no_grad()
def main():
    path = Path(sys.argv[1])
    stored = ctranslate2.read_whisper(path)
    state = {name: torch.tensor(floats(s.read())) for name, s in stored.items() if not name.startswith("decoder/")}
    pcm, rate = soundfile.read(HERE.parent / "data" / "reading.flac", dtype="float32")
    assert rate == 16000
    extractor = transformers.WhisperFeatureExtractor()
    kept = -(-len(pcm) // 160) // 2 + 1
    mel = extractor(pcm, sampling_rate=16000, return_tensors="pt")["input_features"]
    exact = encode(state, mel, 1500)
    theirs = by_ctranslate2(path, mel)
    if theirs is not None:
        off = (theirs - exact["encoder"]).norm() / exact["encoder"].norm()
        print(f"ctranslate2's rows are {off:.1e} off")
        assert off < 1e-4
    for stage, rows in exact.items():
        save(stage, rows, kept)
    rows = kept + streaming.SILENCE_ROWS
    mel = extractor(pcm, sampling_rate=16000, return_tensors="pt", max_length=rows * 320)["input_features"]
    save("alone", encode(state, mel, rows)["encoder"], kept)
    settings = {"layers": 6, "heads": 8, "mel_bins": 80, "positions": 1500}
    settings = {f"earshot.encoder.{key}": value for key, value in settings.items()}
    save("blocks", streaming.blocks(in_earshot_s_names(state), settings, pcm, 16, 400)["encoder"], kept)


if __name__ == "__main__":
    main()
