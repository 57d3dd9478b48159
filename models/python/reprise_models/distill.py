"""Distillation: a few minutes of training that bring a converted model's answers nearer to the original's.

The student learns the teacher's hidden states, layer by layer, and its embeddings:
  loss = mean over layers of sum |student - teacher|^2 / sum |teacher|^2  +  2 mean(1 - cos of the embeddings)
over the real tokens of plain texts; no labels. Adam (0.9, 0.98), warm-up, then linear decay to 0; gradients clipped; the
embedding tables stay as they are.
"""

from __future__ import annotations

import argparse
import itertools
import json
import pathlib
import sys
import time

import numpy as np
import torch
from torch.nn import functional

from reprise_models.checkpoint import CheckpointError
from reprise_models.model import ReuseBert
from reprise_models.training_texts import Batches, TextTokenizer, by_length, is_paragraph, padded, read_lines, split_held_out

WARM_UP_STEPS = 20
_JUDGED_TOKENS = 4096  # per batch, when quality is measured
_FEWEST_TEXTS = 50


def embedding_of(output, attention_mask):
    """What a text is compared by: its sentence embedding, else the pooler's output, else the mean of its tokens."""
    if output.sentence_embedding is not None:
        return output.sentence_embedding
    if output.pooler_output is not None:
        return output.pooler_output
    weight = attention_mask.to(output.last_hidden_state.dtype).unsqueeze(-1)
    return (output.last_hidden_state * weight).sum(1) / weight.sum(1)


def distillation_loss(student, teacher, attention_mask):
    """Of two outputs with hidden states. The embeddings' layer is not among them: it is frozen and the same in both."""
    keep = attention_mask.bool()
    errors = []
    for ours, theirs in zip(student.hidden_states[1:], teacher.hidden_states[1:]):
        ours, theirs = ours[keep], theirs[keep]
        errors.append((ours - theirs).square().sum() / theirs.square().sum())
    cosines = functional.cosine_similarity(embedding_of(student, attention_mask), embedding_of(teacher, attention_mask))
    return torch.stack(errors).mean() + 2 * (1 - cosines).mean()


@torch.no_grad()
def embed(model, texts):
    """One embedding per tokenized text, in their order."""
    embeddings = [None] * len(texts)
    for batch in by_length(texts, _JUDGED_TOKENS):
        ids, mask = padded([texts[place] for place in batch])
        for place, embedding in zip(batch, embedding_of(model(ids, mask), mask)):
            embeddings[place] = embedding
    return torch.stack(embeddings)


class Quality:
    """Cosines of a student's embeddings with the teacher's on held-out texts."""

    def __init__(self, teacher, texts):
        self._texts, self._expected = texts, embed(teacher, texts)
        self._paragraphs = np.array([is_paragraph(ids) for ids in texts])

    def measure(self, student):
        """{"sentences": {texts, mean_cosine, fifth_percentile}, "paragraphs": ...}; a kind without texts is left out."""
        cosines = functional.cosine_similarity(embed(student, self._texts), self._expected).numpy()
        return {
            kind: {"texts": int(chosen.sum()), "mean_cosine": round(float(cosines[chosen].mean()), 5),
                   "fifth_percentile": round(float(np.percentile(cosines[chosen], 5)), 5)}
            for kind, chosen in (("sentences", ~self._paragraphs), ("paragraphs", self._paragraphs)) if chosen.any()
        }


class Schedule:
    """How far training is, 0 to 1, by steps or by the clock, and the learning rate that belongs to it."""

    def __init__(self, learning_rate, steps, minutes):
        self._learning_rate, self._steps, self._minutes = learning_rate, steps, minutes
        self._start = time.monotonic()

    def seconds(self):
        return time.monotonic() - self._start

    def progress(self, step):
        by_steps = step / self._steps if self._steps else 0.0
        by_clock = self.seconds() / (60 * self._minutes) if self._minutes else 0.0
        return min(1.0, max(by_steps, by_clock))

    def learning_rate(self, step):
        return self._learning_rate * min(1.0, (step + 1) / WARM_UP_STEPS) * (1 - self.progress(step))


class ProgressBar:
    """One line on stderr: redrawn on a terminal, written every tenth of the way elsewhere."""

    def __init__(self):
        self._redraws, self._last = sys.stderr.isatty(), -1

    def show(self, progress, text):
        if not self._redraws and int(10 * progress) == self._last:
            return
        self._last = int(10 * progress)
        filled = int(30 * progress)
        end = "" if self._redraws else "\n"
        sys.stderr.write(f"{chr(13) if self._redraws else ''}[{'#' * filled}{'.' * (30 - filled)}] {text}{end}")
        sys.stderr.flush()

    def clear(self):
        if self._redraws:
            sys.stderr.write("\r\033[K")


def train(student, teacher, batches, schedule, progress_bar=None):
    """Trains in place; returns {steps, tokens, seconds}."""
    for parameter in student.embeddings.parameters():
        parameter.requires_grad_(False)
    trained = [parameter for parameter in student.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam(trained, betas=(0.9, 0.98))
    tokens, smoothed, step = 0, None, 0
    for step in itertools.count():
        rate = schedule.learning_rate(step)
        if rate <= 0:
            break
        for group in optimizer.param_groups:
            group["lr"] = rate
        ids, mask = padded(next(batches))
        with torch.no_grad():
            expected = teacher(ids, mask, output_hidden_states=True)
        loss = distillation_loss(student(ids, mask, output_hidden_states=True), expected, mask)
        if not torch.isfinite(loss):
            raise CheckpointError(f"the loss is {loss.item()} at step {step}; expected a number: lower --learning-rate")
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        tokens += int(mask.sum())
        smoothed = loss.item() if smoothed is None else 0.95 * smoothed + 0.05 * loss.item()
        if progress_bar is not None:
            progress_bar.show(schedule.progress(step + 1), f"step {step + 1}, {tokens / 1000:.0f} k tokens, loss {smoothed:.4f}")
    return {"steps": step, "tokens": tokens, "seconds": round(schedule.seconds(), 1)}


def check_pair(teacher, student):
    for key in ("num_hidden_layers", "hidden_size", "vocab_size", "max_position_embeddings"):
        if teacher.config[key] != student.config[key]:
            raise CheckpointError(f"{key} is {teacher.config[key]} in the teacher and {student.config[key]} in the student; "
                                  "expected a student that was converted from the teacher")
    if (teacher.pooling, teacher.normalize) != (student.pooling, student.normalize):
        raise CheckpointError("teacher and student pool sentence embeddings differently; expected a student that was converted "
                              "from the teacher")


def text_limit(directory, config, max_tokens):
    path = pathlib.Path(directory) / "sentence_bert_config.json"
    limit = json.loads(path.read_text()).get("max_seq_length") if path.is_file() else None
    return min(max_tokens, limit or max_tokens, config["max_position_embeddings"])


def conversion_record(directory, distillation):
    """The student's conversion.json with what was done here; an earlier distillation moves into this one."""
    path = pathlib.Path(directory) / "conversion.json"
    record = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if "distillation" in record:
        distillation = {**distillation, "previous": record["distillation"]}
    return {**record, "distillation": distillation}


def describe(quality):
    return "; ".join(f"{value['texts']} {kind}: cosine {value['mean_cosine']:.4f} on average, {value['fifth_percentile']:.4f} at "
                     "the fifth percentile" for kind, value in quality.items())


def worse_kinds(before, after):
    return [kind for kind in before if after[kind]["mean_cosine"] < before[kind]["mean_cosine"]]


def distill(options):
    if options.output.exists():
        raise CheckpointError(f"'{options.output}' is already there; expected the name of a new folder")
    if options.threads:
        torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    teacher, student = ReuseBert.from_pretrained(options.teacher), ReuseBert.from_pretrained(options.student)
    check_pair(teacher, student)
    # Both stay in evaluation mode: dropout would blur what the student is to learn.
    tokenize = TextTokenizer(options.student, text_limit(options.student, student.config, options.max_tokens))
    texts = tokenize(read_lines(options.text))
    if options.held_out:
        training, held_out = texts, tokenize(read_lines(options.held_out))
    else:
        training, held_out = split_held_out(texts, options.seed)
    if len(training) < _FEWEST_TEXTS or not held_out:
        raise CheckpointError(f"there are {len(training)} texts to train on and {len(held_out)} held out; expected at least "
                              f"{_FEWEST_TEXTS}, better 3000, and some held out")
    quality = Quality(teacher, held_out)
    before = quality.measure(student)
    print(f"{len(training)} texts to train on, {sum(map(is_paragraph, training))} of them paragraphs", flush=True)
    print(f"before: {describe(before)}", flush=True)
    batches = Batches(training, options.tokens_per_step, options.paragraph_share, options.seed)
    schedule = Schedule(options.learning_rate, options.steps, options.minutes)
    progress_bar = ProgressBar()
    effort = train(student, teacher, batches, schedule, progress_bar)
    progress_bar.clear()
    after = quality.measure(student)
    print(f"after:  {describe(after)}")
    worse = worse_kinds(before, after)
    if worse and not options.force:
        raise CheckpointError(f"on {' and '.join(worse)} the model is worse than before; nothing was written: train longer or "
                              "with a lower --learning-rate, or give --force")
    record = {**effort, "learning_rate": options.learning_rate, "tokens_per_step": options.tokens_per_step,
              "paragraph_share": options.paragraph_share, "seed": options.seed, "texts": len(training),
              "max_tokens": options.max_tokens, "quality_before": before, "quality_after": after}
    student.save_pretrained(options.output, {"conversion.json": conversion_record(options.student, record)})
    print(f"{options.output}: {effort['steps']} steps, {effort['tokens'] / 1000:.0f} k tokens, {effort['seconds']:.0f} s")


def positive(kind):
    def parse(text):
        value = kind(text)
        if not value > 0:
            raise ValueError
        return value

    parse.__name__ = f"positive {kind.__name__}"
    return parse


def share(text):
    value = float(text)
    if not 0 <= value <= 1:
        raise ValueError
    return value


def parse_arguments(arguments):
    parser = argparse.ArgumentParser(
        prog="reprise-distill", description="Trains a converted checkpoint to answer like the original, on plain texts.",
        epilog="Prints the cosine of embeddings with the original's on held-out texts before and after, and notes both in "
               "conversion.json. A model that became worse is not written.")
    parser.add_argument("teacher", type=pathlib.Path, help="checkpoint folder of the original")
    parser.add_argument("student", type=pathlib.Path, help="checkpoint folder that reprise convert made of it")
    parser.add_argument("--output", type=pathlib.Path, required=True, help="new folder to write")
    parser.add_argument("--text", nargs="+", required=True, metavar="FILE",
                        help="texts like those that will be served, one in each line, sentences and paragraphs")
    parser.add_argument("--held-out", nargs="+", metavar="FILE",
                        help="texts to judge by; if left out, a tenth of --text, 400 at most, which is then not trained on")
    parser.add_argument("--minutes", type=positive(float), help="time to train; if neither this nor --steps is given: 5")
    parser.add_argument("--steps", type=positive(int), help="steps to train; with --minutes, whichever ends first")
    parser.add_argument("--learning-rate", type=positive(float), default=6e-5, help="after the warm-up of 20 steps (%(default)s)")
    parser.add_argument("--tokens-per-step", type=positive(int), default=700, help="size of a batch, about (%(default)s)")
    parser.add_argument("--paragraph-share", type=share, default=0.25,
                        help="share of the tokens in texts of more than 64 tokens, where there are both kinds (%(default)s)")
    parser.add_argument("--max-tokens", type=positive(int), default=256, help="tokens that a text is cut to (%(default)s)")
    parser.add_argument("--threads", type=positive(int), help="threads of PyTorch; if left out, as many as it likes")
    parser.add_argument("--seed", type=int, default=1, help="of batches, held-out texts; with --steps runs repeat (%(default)s)")
    parser.add_argument("--force", action="store_true", help="write the model even if it became worse")
    options = parser.parse_args(arguments)
    if options.minutes is None and options.steps is None:
        options.minutes = 5.0
    return options


def main(arguments=None):
    options = parse_arguments(arguments)
    try:
        distill(options)
    except (CheckpointError, OSError) as error:
        print(f"reprise-distill: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
