"""Times programs in turns, so that all of them meet the same machine."""

import statistics
import sys
import time

# Threads that spin for a while after their work would steal from the program that is next.
PAUSE_S = 0.2


def take_turns(contenders, rounds, progress):
    """{program: its turns}. A contender's turn gives {program: {"median_ms", "min_ms"}}.

    Every round gives each contender one turn. The order is reversed from round to round, so that
    being first, or following the other, helps or hurts nobody.
    """
    turns = {}
    for number in range(rounds):
        for name in list(contenders)[:: -1 if number % 2 else 1]:
            progress.show(name)
            for program, turn in contenders[name]().items():
                turns.setdefault(program, []).append(turn)
            time.sleep(PAUSE_S)
            progress.step()
    return turns


def summarize(turns):
    """Median of the turns' medians, smallest of their minimums, and all of them, for JSON."""
    return {
        "median_ms": statistics.median(turn["median_ms"] for turn in turns),
        "min_ms": min(turn["min_ms"] for turn in turns),
        "turns": turns,
    }


class Progress:
    """A bar on stderr; a line for each new case where stderr is no terminal."""

    WIDTH = 30

    def __init__(self, total):
        self._total = total
        self._done = 0
        self._case = ""
        self._terminal = sys.stderr.isatty()

    def start(self, case):
        """From now on this case is measured."""
        self._case = case
        if not self._terminal:
            print(f"{self._done} of {self._total} turns done, next: {case}", file=sys.stderr)

    def show(self, activity):
        """What goes on inside the case."""
        if self._terminal:
            filled = "#" * (self.WIDTH * self._done // self._total)
            line = f"[{filled:<{self.WIDTH}}] {self._done}/{self._total} {self._case}: {activity}"
            print(f"\r\033[K{line}", end="", file=sys.stderr, flush=True)

    def step(self):
        """One more turn is done."""
        self._done += 1

    def clear(self):
        """Leaves no bar behind."""
        if self._terminal:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
