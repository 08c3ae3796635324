"""The pickles inside PyTorch's files, read by an interpreter that knows tensors and plain values, and runs nothing.

Only the instructions that torch.save writes are carried out. What a pickle names ("GLOBAL") stays a name on the stack; the
few functions of CALLS, which describe tensors, are all that it can call. Nothing is hashed but text and numbers, and nothing
that is on the stack is copied, so that deep, doubled or repeated values cost neither time nor memory.
"""

import pickletools
from typing import NamedTuple

PICKLE_MAX = 1 << 24  # bytes; a tensor takes about 150
KEY_MAX = 100  # characters
DIMENSIONS_MAX = 16
STORAGES = {
    "DoubleStorage": "float64", "FloatStorage": "float32", "HalfStorage": "float16", "BFloat16Storage": "bfloat16",
    "LongStorage": "int64", "IntStorage": "int32", "ShortStorage": "int16", "CharStorage": "int8", "ByteStorage": "uint8",
    "BoolStorage": "bool",
}  # fmt: skip
KINDS = {f"torch.{name}": kind for name, kind in STORAGES.items()}
TYPES = [f"torch.{kind}" for kind in KINDS.values()]
KEYS = (str, int, float, bool, type(None))


class Unsafe(Exception):
    """Something in a pickle that is more than tensors and plain values."""


class Damaged(Exception):
    """What cannot be a file of PyTorch."""


class Global(NamedTuple):
    name: str


class Storage(NamedTuple):
    """Numbers in a file: `count` of a kind, from number `first` of the storage with that key on."""

    kind: str
    key: str
    first: int
    count: int


class Tensor(NamedTuple):
    """A view of a storage, in numbers, not bytes."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class Sparse(NamedTuple):
    layout: str
    shape: tuple[int, ...]


def dense(storage, offset, shape, strides, requires_grad=False, hooks=None, metadata=None):
    if metadata:
        raise Unsafe("it has tensors that are conjugates or negatives of what is stored")
    return Tensor(storage, offset, shape, strides)


def sparse(layout, content):
    """Only that there is one: nothing here reads it."""
    if not layout.startswith("sparse_") or not sizes(content[2]):
        raise Damaged("a sparse tensor that is none")
    return Sparse(layout, content[2])


def parameter(tensor, requires_grad, hooks, attributes=None):
    return tensor


CALLS = {
    "collections.OrderedDict": lambda: {},
    "torch.Size": lambda shape: shape,
    "torch._utils._rebuild_tensor": dense,
    "torch._utils._rebuild_tensor_v2": dense,
    "torch._utils._rebuild_parameter": parameter,
    "torch._utils._rebuild_parameter_with_state": parameter,
    "torch._utils._rebuild_sparse_tensor": sparse,
    "torch.serialization._get_layout": lambda name: name.removeprefix("torch."),
}


def set_item(out, key, value):
    if type(out) is not dict or type(key) not in KEYS:
        raise Unsafe(f"it is not plain tensors (an item {type(key).__name__} of a {type(out).__name__})")
    out[key] = value


class Machine:
    """The stack, the marks in it, and the values that the pickle comes back to. persistent(id) gives the storage of an id."""

    def __init__(self, persistent):
        self.stack, self.marks, self.memo, self.persistent = [], [], {}, persistent

    def push(self, value):
        self.stack.append(value)

    def pop(self):
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            raise Damaged("its pickle takes more than it has")
        return self.stack.pop()

    def pop_some(self, count):
        return tuple(self.pop() for _ in range(count))[::-1]

    def pop_marked(self):
        begin = self.marks.pop()
        items = self.stack[begin:]
        del self.stack[begin:]
        return items

    def mark(self):
        self.marks.append(len(self.stack))

    def keep(self, place):
        self.memo[place] = self.stack[-1]

    def named(self, argument):
        """A global: one that tensors need, left as its name."""
        name = ".".join(argument.split(" ", 1)).removeprefix("__builtin__.").removeprefix("builtins.")
        if name not in CALLS and name not in KINDS and name not in TYPES:
            raise Unsafe(f"it wants to run {name[:100]}")
        self.push(Global(name))

    def call(self):
        function, arguments = self.pop_some(2)
        if type(function) is not Global or function.name not in CALLS or type(arguments) is not tuple:
            raise Unsafe(f"it is not plain tensors (a call of {type(function).__name__})")
        self.push(CALLS[function.name](*arguments))

    def build(self):
        """Attributes of a dictionary or a parameter, which tensors do without."""
        self.pop()
        if type(self.stack[-1]) not in (dict, Tensor):
            raise Unsafe(f"it is not plain tensors (attributes of a {type(self.stack[-1]).__name__})")

    def append(self, items):
        if type(self.stack[-1]) is not list:
            raise Unsafe(f"it is not plain tensors (an append to a {type(self.stack[-1]).__name__})")
        self.stack[-1].extend(items)

    def set_items(self, items):
        for key, value in zip(items[::2], items[1::2], strict=True):
            set_item(self.stack[-1], key, value)

    def storage(self):
        self.push(self.persistent(self.pop()))


PUSHED = ("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINSTRING")
ACTIONS = dict.fromkeys(PUSHED, Machine.push) | {
    "PROTO": lambda machine, version: None,
    "GLOBAL": Machine.named,
    "REDUCE": lambda machine, _: machine.call(),
    "BUILD": lambda machine, _: machine.build(),
    "BINPERSID": lambda machine, _: machine.storage(),
    "BINPUT": Machine.keep,
    "LONG_BINPUT": Machine.keep,
    "BINGET": lambda machine, place: machine.push(machine.memo[place]),
    "LONG_BINGET": lambda machine, place: machine.push(machine.memo[place]),
    "MARK": lambda machine, _: machine.mark(),
    "APPEND": lambda machine, _: machine.append(machine.pop_some(1)),
    "APPENDS": lambda machine, _: machine.append(machine.pop_marked()),
    "SETITEM": lambda machine, _: machine.set_items(machine.pop_some(2)),
    "SETITEMS": lambda machine, _: machine.set_items(machine.pop_marked()),
    "TUPLE": lambda machine, _: machine.push(tuple(machine.pop_marked())),
    "TUPLE1": lambda machine, _: machine.push(machine.pop_some(1)),
    "TUPLE2": lambda machine, _: machine.push(machine.pop_some(2)),
    "TUPLE3": lambda machine, _: machine.push(machine.pop_some(3)),
    "EMPTY_TUPLE": lambda machine, _: machine.push(()),
    "EMPTY_LIST": lambda machine, _: machine.push([]),
    "EMPTY_DICT": lambda machine, _: machine.push({}),
    "NONE": lambda machine, _: machine.push(None),
    "NEWTRUE": lambda machine, _: machine.push(True),
    "NEWFALSE": lambda machine, _: machine.push(False),
}


def load(file, persistent=None):
    """The pickle that begins where a file stands -> its value; the file then stands behind it."""
    machine, begin = Machine(persistent or refuse_storage), file.tell()
    at = begin
    try:
        for opcode, argument, at in pickletools.genops(file):
            if at - begin > PICKLE_MAX:
                raise Damaged(f"its pickle has more bytes than the {PICKLE_MAX} that are read")
            if opcode.name == "STOP":
                return machine.pop()
            if opcode.name not in ACTIONS:
                raise Unsafe(f"it is not plain tensors (the instruction {opcode.name})")
            ACTIONS[opcode.name](machine, argument)
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, MemoryError, RecursionError):
        raise Damaged(f"its pickle makes no sense at byte {at - begin}") from None
    raise Damaged("its pickle is cut short")


def refuse_storage(_):
    raise Damaged("a storage where none can be")


def storage_of(identity):
    """The identity of a storage in a pickle -> Storage."""
    if type(identity) is not tuple or len(identity) not in (5, 6) or identity[0] != "storage":
        raise Unsafe("it is not plain tensors (something outside of the pickle that is no storage)")
    kind, key, _, count, *view = identity[1:]
    if type(kind) is not Global or kind.name not in KINDS or not whole(count):
        raise Damaged("a storage that is none")
    if type(key) is not str or not key.isprintable() or len(key) > KEY_MAX:
        raise Damaged("a storage that is none, by its key")
    if not view or view[0] is None:
        return Storage(KINDS[kind.name], key, 0, count)
    _, first, size = view[0]
    if not whole(first, size) or first + size > count:
        raise Damaged(f"a view outside of the storage {key}")
    return Storage(KINDS[kind.name], key, first, size)


def whole(*numbers):
    """Whether all are whole numbers of a size that files have."""
    return all(type(n) is int and 0 <= n < 1 << 62 for n in numbers)


def sizes(shape):
    """Whether a value is what a tensor can have as its shape or its strides."""
    return type(shape) is tuple and len(shape) <= DIMENSIONS_MAX and whole(*shape)
