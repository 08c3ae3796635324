"""The ids around what is heard, and how text is decoded: one Prompts for each generation of public checkpoints."""

from dataclasses import dataclass, field

AUDIO_FIRST, PLACEHOLDER, CHAT = "audio-first", "placeholder", "chat"
STOP = 24  # b"\x17" in the World vocabulary


@dataclass
class Prompts:
    """What the model file says of prompts; ask, intent and space are left out of it where None."""

    reply: list[int]
    text_begin: list[int]
    caption: list[int] = field(default_factory=list)
    audio_begin: list[int] = field(default_factory=list)
    ask: list[int] | None = None
    intent: list[int] | None = None
    space: bool | None = None
    stop: list[int] = field(default_factory=lambda: [STOP])
    ban: list[int] = field(default_factory=lambda: [0])
    max_tokens: int = 500
    carry: bool = False
    delay_rows: int | None = None  # aligned captions: pieces come so many rows late; None: prompted ones

    def add_to(self, writer):
        for key in ("audio_begin", "caption", "reply", "text_begin"):
            writer.add_ids(f"earshot.prompt.{key}", getattr(self, key))
        if self.ask is not None:
            writer.add_ids("earshot.prompt.ask", self.ask)
        if self.intent is not None:
            writer.add_ids("earshot.prompt.intent", self.intent)
        if self.space is not None:
            writer.add_bool("earshot.prompt.space", self.space)
        writer.add_ids("earshot.decode.stop", self.stop)
        writer.add_ids("earshot.decode.ban", self.ban)
        writer.add_uint32("earshot.decode.max_tokens", self.max_tokens)
        writer.add_bool("earshot.conversation.carry", self.carry)
        if self.delay_rows is not None:
            writer.add_string("earshot.captions", "aligned")
            writer.add_uint32("earshot.aligned.delay_rows", self.delay_rows)


def aligned(delay_rows, reply, text_begin, intent=None, max_tokens=200):
    """Captions come with the rows, id 0 for none; a reply and an intent are prompted, and id 0 ends them."""
    return Prompts(reply, text_begin, intent=intent, stop=[0], ban=[], max_tokens=max_tokens, delay_rows=delay_rows)


def audio_first(ids):
    """Older checkpoints: the rows, then `\\x16Assistant:`."""
    ask = ids("\x17\x16Assistant:")
    return Prompts(ids("\x16Assistant:"), ids("\x16User:"), ask=ask, space=False, stop=ids("\x17"))


def placeholder(ids):
    """Newer ones: a user's turn, in which each placeholder id became a row."""
    user = ids("\x16User:")
    reply = ids("\x17\x16Assistant:")
    return Prompts(reply, user, audio_begin=user, space=False, stop=ids("\x17"), carry=True)


def chat(ids):
    """Public RWKV-7 that has never heard anything: turns are ended by an empty line."""
    return Prompts(ids("\n\nAssistant:"), ids("User:"), space=True, stop=[0] + ids("\n\n"), ban=[], carry=True)


GENERATIONS = {AUDIO_FIRST: audio_first, PLACEHOLDER: placeholder, CHAT: chat}
