#!/usr/bin/env python3
"""Asks a running reprise server, over gRPC, for the nearest sentences to some questions.

Two models answer side by side: an ordinary sentence encoder and its reuse version. Then the server's
own metrics say what reuse saved. How it is shown on the terminal is in demo_display.py.
"""

import argparse
import pathlib
import re
import sys
import time
import urllib.request

import numpy as np
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

import demo_display as display

QUESTIONS = [
    "How do plants make their food?",
    "Why do my programs hang?",
    "What happens when borrowing gets more expensive?",
    "animals that find their way over long distances",
]
TIMED_ROUNDS = 25
BATCH = 16  # sentences of one request


def wait_until_ready(client, models, seconds=120):
    """The port is open before the models are loaded, so asking early is fine."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if client.is_server_ready() and all(client.is_model_ready(model) for model in models):
                return
        except InferenceServerException:
            pass  # nobody listens yet
        time.sleep(0.1)
    sys.exit(f"demo_client: the server was not ready within {seconds} s")


def embed(client, model, sentences):
    """One vector of length 1 per sentence, [len(sentences), hidden_size]."""
    text = triton.InferInput("text", [len(sentences)], "BYTES")
    text.set_data_from_numpy(np.array([s.encode() for s in sentences], dtype=np.object_))
    result = client.infer(model, [text])
    return result.as_numpy("sentence_embedding")


def embed_all(client, model, sentences):
    batches = [sentences[i : i + BATCH] for i in range(0, len(sentences), BATCH)]
    return np.concatenate([embed(client, model, batch) for batch in batches])


def read_metrics(port, models):
    """{(model, metric, value of the label that tells kinds apart): sum}, of the Prometheus text page."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as page:
        lines = page.read().decode().splitlines()
    sums = {}
    for line in lines:
        sample = re.fullmatch(r"reprise_(\w+)\{(.*)\} (\S+)", line)
        if sample is None:
            continue
        labels = dict(re.findall(r'(\w+)="([^"]*)"', sample[2]))
        if labels.get("model") in models:
            kind = labels.get("source", labels.get("kind"))
            key = (labels["model"], sample[1], kind)
            sums[key] = sums.get(key, 0) + float(sample[3])
    return sums


def time_models(client, models, sentences):
    """Milliseconds of single requests, per model; the models take turns, so both see the same machine."""
    times = {model: [] for model in models}
    for round_number in range(TIMED_ROUNDS):
        for model in models:
            start = time.perf_counter()
            embed(client, model, [sentences[round_number % len(sentences)]])
            times[model].append(1000 * (time.perf_counter() - start))
    return times


def nearest(question, vectors, count=3):
    """Indices of the nearest sentences and their cosine, the dot product of vectors of length 1."""
    cosines = vectors @ question
    best = np.argsort(-cosines)[:count]
    return [(int(i), float(cosines[i])) for i in best]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--grpc-port", type=int, required=True)
    parser.add_argument("--metrics-port", type=int, required=True)
    parser.add_argument("--exact", required=True, help="name of the ordinary model")
    parser.add_argument("--reuse", required=True, help="name of its reuse version")
    options = parser.parse_args()
    models = [options.exact, options.reuse]
    sentences = pathlib.Path(__file__).with_name("demo_sentences.txt").read_text().splitlines()

    client = triton.InferenceServerClient(f"127.0.0.1:{options.grpc_port}")
    wait_until_ready(client, models)

    vectors = {model: embed_all(client, model, sentences) for model in models}
    questions = {model: embed(client, model, QUESTIONS) for model in models}
    answers = [
        (question, *(nearest(questions[model][i], vectors[model]) for model in models))
        for i, question in enumerate(QUESTIONS)
    ]
    savings = read_metrics(options.metrics_port, models)  # before timing, so that counts stay small
    times = time_models(client, models, sentences)

    print(f"exact: {options.exact}, reuse: {options.reuse}; {len(sentences)} sentences embedded by each")
    display.show_answers(sentences, answers)
    agreement = np.sum(vectors[options.exact] * vectors[options.reuse], axis=1)
    print(
        f"\n  Cosine between the two models' vectors of a sentence: {agreement.mean():.3f} on average, "
        f"{agreement.min():.3f} at least."
    )
    display.show_savings(savings, models)
    display.show_times(*times.values())


if __name__ == "__main__":
    main()
