"""Compares reprise with other engines on the same encoder: checks all answers, then takes turns."""

import contextlib
import json
import pathlib
import platform
import sys
import tempfile

import numpy as np

import numpy_bert
from bert_checkpoint import CheckpointError, read_bert
from chart import draw_chart
from options import parse_options
from peer import Case
from peer_process import PeerFailed, PeerProcess
from report import draw_report
from reprise_bench import BenchError, RepriseBench
from turns import Progress, summarize, take_turns

# Far above what rounding does to a token's vector, far below what a mistake in a graph does.
LOWEST_COSINES = {"bf16": 0.998, "fp32": 0.99999}
SEED = 1


class WrongAnswer(Exception):
    """Says whose answer differs from the reference."""


def ragged_lengths(longest, generator, rows=16, mean=0.4, sigma=0.6):
    """Lognormal lengths, as those of texts are: their mean is 0.4 of the longest, which is there."""
    drawn = np.clip(generator.lognormal(0, sigma, rows - 1), 0.05, 4)
    drawn *= (mean * rows - 1) * longest / drawn.sum()
    return [longest, *(int(min(max(length, 4), longest)) for length in drawn)]


def make_cases(bert, options):
    """Every batch to run: sizes and lengths, then the ragged one."""
    generator = np.random.default_rng(SEED)
    shapes = [[length] * batch for batch in options.batch_size for length in options.seq_len]
    if options.ragged:
        shapes.append(ragged_lengths(options.ragged, generator))
    most = len(bert.position_embeddings)
    for lengths in shapes:
        if max(lengths) > most:
            raise CheckpointError(f"{options.checkpoint} has {most} positions, no {max(lengths)} tokens fit")
        ids = generator.integers(len(bert.word_embeddings), size=(len(lengths), max(lengths)))
        yield Case(np.where(np.arange(max(lengths)) < np.array(lengths)[:, np.newaxis], ids, 0), lengths)


def reference(bert, case):
    """The hidden states of the real tokens, one below the other, in fp32."""
    rows = [numpy_bert.encode(bert, row[:length]) for row, length in zip(case.input_ids, case.lengths)]
    return np.concatenate(rows)


def check(name, answer, expected, case, precision):
    """The worst cosine of a real token's vector."""
    cosine = numpy_bert.worst_cosine(answer[case.mask()], expected)
    if not cosine >= LOWEST_COSINES[precision]:  # also for NaN
        raise WrongAnswer(
            f"the answer of {name} in {precision} is wrong: a token's cosine with the reference is {cosine}, "
            f"expected at least {LOWEST_COSINES[precision]}"
        )
    return cosine


def peers_in(precision, options):
    """The names of those that have such arithmetic."""
    return [name for name in options.peers if (name, precision) != ("onnxruntime", "bf16")]


class Comparison:
    """One case in one precision."""

    def __init__(self, options, reprise, case, precision, folder):
        self._options, self._reprise, self._case, self._precision = options, reprise, case, precision
        self._folder = folder

    def run(self, expected, progress):
        """A dict for JSON: first the checks, then the times."""
        names = peers_in(self._precision, self._options)
        with contextlib.ExitStack() as stack:
            progress.show("checking reprise")
            answer = self._reprise.answer(self._case, self._precision)
            cosines = {"reprise": check("reprise", answer, expected, self._case, self._precision)}
            about, contenders = {}, {"reprise": lambda: self._reprise_turn()}
            for name in names:
                progress.show(f"loading {name}")
                peer = stack.enter_context(PeerProcess(name, self._options))
                about[name] = self._load(peer)
                cosines[name] = check(name, self._answer(peer), expected, self._case, self._precision)
                contenders[name] = lambda peer=peer, name=name: {name: self._peer_turn(peer)}
            turns = take_turns(contenders, self._options.rounds, progress)
        times = {program: summarize(taken) for program, taken in turns.items()}
        exact = times["reprise exact"]["median_ms"]
        return {
            "precision": self._precision,
            "batch_size": len(self._case.lengths),
            "lengths": self._case.lengths,
            "ragged": self._case.ragged,
            "programs": times,
            "exact_over": {name: exact / times[name]["median_ms"] for name in names},
            "over_exact": {name: time["median_ms"] / exact for name, time in times.items()},
            "worst_cosines": cosines,
            "about": about,
            **({"memory": self._memory(names)} if self._options.memory else {}),
        }

    def _reprise_turn(self):
        turn = self._reprise.turn(self._case, self._precision)
        return {f"reprise {plan}": times for plan, times in turn.items()}

    def _peer_turn(self, peer):
        return peer.tell("turn", warmup=self._options.warmup, repetitions=self._options.repetitions)

    def _load(self, peer):
        ids = self._folder / "ids.npy"
        np.save(ids, self._case.input_ids)
        return peer.tell(
            "load",
            checkpoint=str(self._options.checkpoint.resolve()),
            ids=str(ids),
            lengths=self._case.lengths,
            precision=self._precision,
            threads=self._options.threads,
        )

    def _answer(self, peer):
        file = self._folder / "answer.npy"
        peer.tell("answer", file=str(file))
        return np.load(file)

    def _memory(self, names):
        """{program: {"peak_rss_bytes", "start_rss_bytes"}} of fresh processes that loaded the model and ran it.

        The start is the peak of a process that has loaded its libraries and nothing else.
        """
        peaks = {"reprise exact": self._reprise.memory(self._case, self._precision)}
        for name in names:
            with PeerProcess(name, self._options) as peer:
                start = peer.tell("memory")["peak_rss_bytes"]
                self._load(peer)
                peer.tell("turn", warmup=1, repetitions=2)
                peaks[name] = {**peer.tell("memory"), "start_rss_bytes": start}
        return peaks


def weight_bytes(bert, precision):
    """One copy of all weights in a precision."""
    arrays = [bert.word_embeddings, bert.position_embeddings, bert.token_type_embeddings]
    for layer in bert.layers:
        arrays += [array for part in vars(layer).values() for array in (part.weight, part.bias)]
    return sum(array.size for array in arrays) * (2 if precision == "bf16" else 4)


def compare(options):
    """Everything measured and what it was measured on, as a dict for JSON."""
    reprise = RepriseBench(options)
    bert = read_bert(options.checkpoint)
    cases = list(make_cases(bert, options))
    contenders = sum(1 + len(peers_in(precision, options)) for precision in options.precision)
    progress = Progress(contenders * options.rounds * len(cases))
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for case in cases:
            shape = f"{len(case.lengths)} x {'up to ' if case.ragged else ''}{max(case.lengths)}"
            progress.start(shape)
            progress.show("computing the reference")
            expected = reference(bert, case)
            for precision in options.precision:
                progress.start(f"{shape}, {precision}")
                comparison = Comparison(options, reprise, case, precision, pathlib.Path(folder))
                results.append(comparison.run(expected, progress))
    progress.clear()
    return {
        "machine": reprise.machine,
        "others_cpu_share": reprise.others_cpu_share,
        "python": platform.python_version(),
        "checkpoint": str(options.checkpoint),
        "weight_bytes": {precision: weight_bytes(bert, precision) for precision in options.precision},
        **{name: getattr(options, name) for name in ("threads", "rounds", "repetitions", "warmup", "isa")},
        "cases": results,
    }


def main():
    """0 when everything was measured, 1 when something failed."""
    options = parse_options()
    try:
        comparison = compare(options)
        if options.json:
            options.json.write_text(json.dumps(comparison, indent=2) + "\n")
        if options.plot:
            options.plot.write_text(draw_chart(comparison))
    except (CheckpointError, WrongAnswer, PeerFailed, BenchError, OSError) as error:
        print(f"\nloadtest/peers/run: {error}", file=sys.stderr)
        return 1
    print(draw_report(comparison))
    return 0


if __name__ == "__main__":
    sys.exit(main())
