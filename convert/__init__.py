"""Public checkpoints (RWKV-7, Whisper, WavLM, ModRWKV) into Earshot's model file.

    checkpoint.py   a file or a folder of tensors, lazily and without running code
    torch_file.py  pickled.py  safetensors_file.py  ctranslate2.py     each format of files
    stored.py       a tensor on disk, its types, and bfloat16
    part.py         one part's tensors: what it must have, in which shape, and what is left over
    layout.py       which tensors of a checkpoint are encoder, adapter and backbone
    rwkv7.py  adapter.py  whisper.py  wavlm.py      a part -> tensors and settings of the file
    vocabulary.py  prompts.py                       text: tokens, and the ids around what is heard
    quantise.py     float32 into the types of a model file
    gguf_file.py    settings, and the file itself; training/export.py writes with it too
    report.py       progress and the summary
    cli.py          the command

`tools/convert --help` and docs/convert.md say how it is used.
"""


class ConvertError(Exception):
    """What cannot be converted and why, in one line that names the culprit."""
