"""A row gets the same bits alone, in any batch, beside any callers and however it is padded."""

import concurrent.futures
import random

import numpy as np
import pytest

from infer_messages import ids_request, outputs_of
from scrape import Scrape

MODELS = ["minilm", "minilm-bf16", "minilm-reuse", "minilm-reuse-bf16"]
PAD_ID = 0


def padded(rows, columns, filler=PAD_ID):
    """Rows of ids side by side with their mask; real tokens first."""
    ids = np.full((len(rows), columns), filler, np.int64)
    mask = np.zeros((len(rows), columns), np.int64)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = row
        mask[i, : len(row)] = 1
    return ids, mask


@pytest.fixture(scope="module")
def rows(oracle):
    """Lengths from 3 to 200; the two longest texts would take most of the time and add nothing."""
    return [s["input_ids"] for s in oracle if len(s["input_ids"]) <= 200]


@pytest.fixture(scope="module", params=MODELS)
def model(request):
    return request.param


@pytest.fixture(scope="module")
def alone(stub, model, rows):
    """What each row gets when it is asked for by itself."""
    return [outputs_of(stub.ModelInfer(ids_request(model, [row]))) for row in rows]


def assert_same_bits(outputs, index, row, expected):
    embedding = outputs["sentence_embedding"][index]
    assert embedding.tobytes() == expected["sentence_embedding"][0].tobytes()
    states = outputs["last_hidden_state"][index]
    assert states[: len(row)].tobytes() == expected["last_hidden_state"][0].tobytes()
    assert not states[len(row) :].any(), "masked positions are 0"


def test_a_row_gets_the_same_bits_in_one_large_batch(stub, model, rows, alone):
    ids, mask = padded(rows, max(map(len, rows)))
    outputs = outputs_of(stub.ModelInfer(ids_request(model, ids, mask)))
    for i, row in enumerate(rows):
        assert_same_bits(outputs, i, row, alone[i])


def test_a_row_gets_the_same_bits_in_any_place_of_a_batch(stub, model, rows, alone):
    order = list(range(len(rows)))
    random.Random(7).shuffle(order)
    ids, mask = padded([rows[i] for i in order], max(map(len, rows)))
    outputs = outputs_of(stub.ModelInfer(ids_request(model, ids, mask)))
    for place, i in enumerate(order):
        assert_same_bits(outputs, place, rows[i], alone[i])


@pytest.mark.parametrize("extra,filler", [(1, 0), (17, 29999), (300, 103)])
def test_padding_changes_no_bit_whatever_it_holds(stub, model, rows, alone, extra, filler):
    for i in range(0, len(rows), 3):
        ids, mask = padded([rows[i]], len(rows[i]) + extra, filler)
        outputs = outputs_of(stub.ModelInfer(ids_request(model, ids, mask)))
        assert_same_bits(outputs, 0, rows[i], alone[i])


def test_a_row_with_holes_gets_the_same_bits_in_company(stub, model, rows):
    ids, mask = padded(rows[:8], 64)
    mask[:, 1::3] = 0  # a token keeps the position of its column, so this is another input than the row
    mask[:, 0] = 1
    together = outputs_of(stub.ModelInfer(ids_request(model, ids, mask)))
    for i in range(len(ids)):
        single = outputs_of(stub.ModelInfer(ids_request(model, ids[i : i + 1], mask[i : i + 1])))
        for name in ("sentence_embedding", "last_hidden_state"):
            assert together[name][i].tobytes() == single[name][0].tobytes()


@pytest.mark.slow
def test_a_row_gets_the_same_bits_under_concurrent_load(server, stub, model, rows, alone):
    before = Scrape(server.metrics_port)

    def ask(seed):
        dice = random.Random(seed)
        chosen = [dice.randrange(len(rows)) for _ in range(dice.randint(1, 4))]
        longest = max(len(rows[i]) for i in chosen)
        ids, mask = padded([rows[i] for i in chosen], longest + dice.randrange(20))
        outputs = outputs_of(stub.ModelInfer(ids_request(model, ids, mask)))
        for place, i in enumerate(chosen):
            assert_same_bits(outputs, place, rows[i], alone[i])

    requests = 120
    with concurrent.futures.ThreadPoolExecutor(12) as callers:
        list(callers.map(ask, range(requests)))
    after = Scrape(server.metrics_port)
    batches = after.total("reprise_batch_rows_count", model=model)
    batches -= before.total("reprise_batch_rows_count", model=model)
    assert batches < requests / 2, f"{requests} requests ran as {batches} batches: hardly any shared one"
