"""config.json and preprocessor_config.json: only what Earshot computes is accepted, and errors name the key."""

from convert import ConvertError

MAX = 1 << 31


class Settings:
    """A JSON object, and the file it came from."""

    def __init__(self, file, values):
        self.file, self.values = file, values

    def only(self, key, *allowed):
        """The key is absent or one of the values Earshot computes."""
        value = self.values.get(key, allowed[0])
        if value not in allowed:
            known = " and ".join(map(repr, allowed))
            raise ConvertError(f"{self.file}: {key} is {value!r}, Earshot only knows {known}")
        return value

    def equal(self, key, seen, where):
        """The key is absent or says what the tensors say."""
        if key in self.values and self.values[key] != seen:
            raise ConvertError(f"{self.file}: {key} is {self.values[key]!r}, {where} has {seen!r}")

    def number(self, key, default):
        value = self.values.get(key, default)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < MAX:
            raise ConvertError(f"{self.file}: {key} is {value!r}, not a positive number")
        return value

    def count(self, key, default):
        if not isinstance(self.values.get(key, default), int):
            raise ConvertError(f"{self.file}: {key} is {self.values[key]!r}, not a whole number")
        return self.number(key, default)

    def numbers(self, key, default):
        value = self.values.get(key, default)
        if not isinstance(value, list) or not all(type(n) is int and 0 < n < MAX for n in value):
            raise ConvertError(f"{self.file}: {key} is {value!r}, not a list of positive whole numbers")
        return value

    def flag(self, key, default):
        value = self.values.get(key, default)
        if not isinstance(value, bool):
            raise ConvertError(f"{self.file}: {key} is {value!r}, neither true nor false")
        return value
