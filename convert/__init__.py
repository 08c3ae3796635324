"""Public checkpoints (RWKV-7, Whisper, WavLM, ModRWKV) into Earshot's model file.

    checkpoint.py   reads .pth, .bin and .safetensors, lazily and without running code
    part.py         one part's tensors: what it must have, in which shape, and what is left over
    layout.py       which tensors of a checkpoint are encoder, adapter and backbone
    rwkv7.py  adapter.py  whisper.py  wavlm.py      a part -> tensors and settings of the file
    vocabulary.py  prompts.py                       text: tokens, and the ids around what is heard
    gguf_file.py    types, settings, and the file itself; training/export.py writes with it too
    report.py       progress and the summary
    cli.py          the command

`tools/convert --help` and docs/convert.md say how it is used.
"""


class ConvertError(Exception):
    """What cannot be converted and why, in one line that names the culprit."""
