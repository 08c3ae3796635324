"""One part of a checkpoint (encoder, adapter, backbone): its tensors are taken by name, with the shape they must have.

What is missing or misshaped is refused by name; what nobody took is left over.
"""

from convert import ConvertError
from convert.gguf_file import F32, Tensor, stored_type
from convert.stored import FLOATS


def without_ones(shape):
    """A shape without its ones: vectors come as [D] and as [1, 1, D]."""
    return tuple(n for n in shape if n != 1)


class Part:
    """what: its name in errors; stored: {name without prefix: Stored}; prefix: of the names in the file."""

    def __init__(self, what, stored, prefix, wanted):
        self.what, self.stored, self.prefix, self.wanted = what, stored, prefix, wanted
        self.taken, self.tensors = set(), []

    def __contains__(self, name):
        return name in self.stored

    def find(self, name):
        if name not in self.stored:
            raise ConvertError(f"{self.what}: {name} is missing")
        found = self.stored[name]
        if found.kind not in FLOATS:
            raise ConvertError(f"{found}: of type {found.kind}, not floating point")
        if 0 in found.shape:
            raise ConvertError(f"{found}: empty, shape {list(found.shape)}")
        self.taken.add(name)
        return found

    def shape(self, name, dims):
        """The shape of a tensor of so many dimensions, from which sizes are learnt."""
        found = self.find(name)
        if len(found.shape) != dims:
            raise ConvertError(f"{found}: shape {list(found.shape)}, expected {dims} dimensions")
        return found.shape

    def take(self, name, shape):
        """The tensor, whose shape is the given one but for ones in a vector's."""
        found = self.find(name)
        same = without_ones(found.shape) == without_ones(shape) if len(shape) == 1 else found.shape == tuple(shape)
        if not same:
            raise ConvertError(f"{found}: shape {list(found.shape)}, expected {list(shape)}")
        return found

    def add(self, to, shape, matrix, read, origin):
        kind = stored_type(shape, self.wanted) if matrix else F32
        self.tensors.append(Tensor(f"{self.prefix}.{to}", tuple(shape), kind, read, str(origin)))

    def matrix(self, to, name, shape):
        found = self.take(name, shape)
        self.add(to, shape, True, found.read, found)

    def transposed(self, to, name, shape):
        """A matrix stored as [in, out], which is `shape`."""
        found = self.take(name, shape)
        self.add(to, shape[::-1], True, lambda: found.read().T, found)

    def kernel(self, to, name, shape):
        """A convolution's kernel: torch's [out, in, k], which is `shape`, becomes [out, k, in]."""
        found = self.take(name, shape)
        self.add(to, (shape[0], shape[2], shape[1]), True, lambda: found.read().transpose(0, 2, 1), found)

    def f32(self, to, name, shape):
        """A vector, norm, bias or table: F32 in any file."""
        found = self.take(name, shape)
        self.add(to, shape, False, lambda: found.read().reshape(shape), found)

    def linear(self, to, name, fan_out, fan_in, bias=True):
        self.matrix(f"{to}.weight", f"{name}.weight", (fan_out, fan_in))
        if bias:
            self.f32(f"{to}.bias", f"{name}.bias", (fan_out,))

    def norm(self, to, name, dim):
        self.f32(f"{to}.weight", f"{name}.weight", (dim,))
        self.f32(f"{to}.bias", f"{name}.bias", (dim,))

    def left(self):
        return [self.stored[name] for name in self.stored if name not in self.taken]

    def count(self, pattern):
        """How many layers: one more than the largest number that a pattern's group finds in the names."""
        numbers = [int(match[1]) for match in map(pattern.match, self.stored) if match]
        return 1 + max(numbers, default=-1)


def refuse(stored, why):
    """Tensors that would change what is computed."""
    if stored:
        more = f" and {len(stored) - 1} more" if len(stored) > 1 else ""
        raise ConvertError(f"{stored[0]}: {why}{more}")
