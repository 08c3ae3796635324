"""Progress on standard error, and what was read, assumed and ignored on standard output."""

import sys
import time


class Progress:
    """A bar on a terminal, a line every tenth elsewhere."""

    def __init__(self, total):
        self.total, self.done, self.shown, self.stream = total, 0, -1, sys.stderr
        self.began, self.live = time.monotonic(), self.stream.isatty()

    def advance(self, elements):
        self.done += elements
        share = self.done / self.total
        step = int(share * (200 if self.live else 10))
        if step == self.shown:
            return
        self.shown = step
        text = f"{100 * share:3.0f} %  {self.done / 1e6:.0f} of {self.total / 1e6:.0f} million weights"
        if share > 0.02:
            text += f", {(time.monotonic() - self.began) * (1 / share - 1):.0f} s left"
        if self.live:
            bar = "#" * int(30 * share)
            self.stream.write(f"\r[{bar:30}] {text}\033[K" + ("\n" if self.done == self.total else ""))
        else:
            self.stream.write(f"converting: {text}\n")
        self.stream.flush()


class Summary:
    """Lines by heading; ignored tensors are counted by what they belong to."""

    def __init__(self):
        self.lines, self.assumed, self.ignored, self.wrote = [], [], [], ""

    def say(self, heading, text):
        self.lines.append((heading, text))

    def assume(self, text):
        self.assumed.append(text)

    def ignore(self, stored):
        self.ignored += [str(s) for s in stored]

    def show(self, quiet):
        """quiet: a pattern of names that are expected to be there and unused."""
        known = [name for name in self.ignored if quiet.search(name.split(": ")[-1])]
        unknown = [name for name in self.ignored if name not in known]
        for heading, text in self.lines + [("assumed", text) for text in self.assumed]:
            print(f"{heading:11}{text}")
        if known:
            print(f"{'ignored':11}{known[0]} and what else hearing does not use ({len(known)} in all)")
        for name in unknown:
            print(f"{'ignored':11}{name}, which is unknown")
        print(f"{'missing':11}nothing")
        print(f"{'wrote':11}{self.wrote}")
