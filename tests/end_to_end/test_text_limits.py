"""Over-long text is refused unless the caller asks to cut it; ids may be longer than text."""

import grpc
import pytest

from infer_messages import ids_request, outputs_of, text_request

TEXT_LIMIT = 256  # max_seq_length of the model's sentence_bert_config.json
POSITIONS = 512
WORD_ID, CLS, SEP = 2773, 101, 102  # "word" and the special tokens


def words(count):
    return "word " * count


def embedding(stub, request):
    return outputs_of(stub.ModelInfer(request))["sentence_embedding"]


def test_a_text_at_the_limit_is_answered(stub):
    assert embedding(stub, text_request("minilm", [words(TEXT_LIMIT - 2)])).shape == (1, 384)


@pytest.mark.parametrize("truncate", [None, False])
def test_a_text_one_token_longer_is_refused_and_names_the_way_out(stub, truncate):
    with pytest.raises(grpc.RpcError) as caught:
        stub.ModelInfer(text_request("minilm", ["short", words(TEXT_LIMIT - 1)], truncate))
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert all(part in caught.value.details() for part in ("row 1", "257", "256", "'truncate'"))


def test_truncation_keeps_the_first_tokens_and_the_special_ones(stub):
    cut = embedding(stub, text_request("minilm", [words(1000)], truncate=True))
    ids = [CLS] + [WORD_ID] * (TEXT_LIMIT - 2) + [SEP]
    by_ids = embedding(stub, ids_request("minilm", [ids], outputs=["sentence_embedding"]))
    assert cut.tobytes() == by_ids.tobytes()


def test_truncation_leaves_short_texts_alone(stub):
    plain = embedding(stub, text_request("minilm", ["short", "text"]))
    beside = text_request("minilm", ["short", "text", words(300)], truncate=True)
    assert embedding(stub, beside)[:2].tobytes() == plain.tobytes()


def test_ids_may_use_every_position(stub):
    assert embedding(stub, ids_request("minilm", [[7] * POSITIONS])).shape == (1, 384)


def test_the_limits_are_told_before_anyone_trips_over_them(channel, wire):
    describe, request_type = wire.method(channel, "reprise.v1.Reprise/DescribeModel")
    limits = describe(request_type(model="minilm")).limits
    assert (limits.max_text_tokens, limits.max_sequence_tokens) == (TEXT_LIMIT, POSITIONS)


def test_an_embed_text_is_cut_only_when_asked(channel, wire):
    embed, request_type = wire.method(channel, "reprise.v1.Reprise/Embed")
    reply = embed(request_type(model="minilm", texts=[words(1000)], truncate=True))
    assert reply.tokens == TEXT_LIMIT
    with pytest.raises(grpc.RpcError) as caught:
        embed(request_type(model="minilm", texts=[words(1000)]))
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
