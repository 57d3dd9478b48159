"""The served demo model answers as the published model does, and its reuse version about so."""

import numpy as np
import pytest

from infer_messages import cosine, ids_request, outputs_of, text_request

AGREEMENT = {"minilm": 0.99999, "minilm-bf16": 0.999}  # least cosine, by arithmetic


@pytest.mark.parametrize("model", AGREEMENT)
def test_texts_get_the_embeddings_of_the_published_model(stub, oracle, model):
    reply = stub.ModelInfer(text_request(model, [s["text"] for s in oracle], truncate=True))
    embeddings = outputs_of(reply)["sentence_embedding"]
    assert embeddings.shape == (len(oracle), 384)
    for sentence, embedding in zip(oracle, embeddings):
        agreement = cosine(embedding, sentence["sentence_embedding"])
        assert agreement >= AGREEMENT[model], f"{sentence['text'][:60]}: {agreement}"


@pytest.mark.parametrize("model", AGREEMENT)
def test_token_ids_get_the_embeddings_of_the_published_model(stub, oracle, model):
    for sentence in oracle:
        request = ids_request(model, [sentence["input_ids"]], outputs=["sentence_embedding"])
        embedding = outputs_of(stub.ModelInfer(request))["sentence_embedding"][0]
        agreement = cosine(embedding, sentence["sentence_embedding"])
        assert agreement >= AGREEMENT[model], f"{sentence['text'][:60]}: {agreement}"


def test_the_pooler_output_is_that_of_the_published_model(stub, oracle):
    for sentence in oracle:
        request = ids_request("minilm", [sentence["input_ids"]], outputs=["pooler_output"])
        pooled = outputs_of(stub.ModelInfer(request))["pooler_output"][0]
        expected = np.array(sentence["pooler_output"])
        np.testing.assert_allclose(pooled[: len(expected)], expected, atol=2e-5)


@pytest.mark.parametrize("model", [*AGREEMENT, "minilm-reuse", "minilm-reuse-bf16"])
def test_embeddings_have_length_one(stub, oracle, model):
    reply = stub.ModelInfer(text_request(model, [s["text"] for s in oracle], truncate=True))
    lengths = np.linalg.norm(outputs_of(reply)["sentence_embedding"], axis=1)
    np.testing.assert_allclose(lengths, 1, atol=1e-5)


def test_the_uncalibrated_reuse_model_stays_near_the_published_one(stub, oracle):
    texts = [s["text"] for s in oracle]
    reply = stub.ModelInfer(text_request("minilm-reuse", texts, truncate=True))
    embeddings = outputs_of(reply)["sentence_embedding"]
    agreements = [cosine(e, s["sentence_embedding"]) for e, s in zip(embeddings, oracle)]
    assert 0.90 <= np.mean(agreements) <= 0.99, agreements
    assert min(agreements) >= 0.7, agreements


def test_embed_returns_the_vectors_of_model_infer(stub, channel, wire, oracle):
    texts = [s["text"] for s in oracle]
    embed, request_type = wire.method(channel, "reprise.v1.Reprise/Embed")
    reply = embed(request_type(texts=texts, model="minilm-reuse", truncate=True))
    expected = outputs_of(stub.ModelInfer(text_request("minilm-reuse", texts, truncate=True)))
    vectors = np.array([embedding.values for embedding in reply.embeddings], np.float32)
    assert vectors.tobytes() == expected["sentence_embedding"].tobytes()
    assert (reply.model, reply.version) == ("minilm-reuse", "1")
    assert reply.tokens == sum(len(s["input_ids"]) for s in oracle)


def test_embed_tells_where_the_time_went(channel, wire):
    embed, request_type = wire.method(channel, "reprise.v1.Reprise/Embed")
    reply = embed(request_type(texts=["one", "two words"], model="minilm"))
    time = reply.time
    steps = [time.decode_ns, time.tokenize_ns, time.queue_ns, time.compute_ns, time.encode_ns]
    assert all(step > 0 for step in steps), time
    assert sum(steps) <= time.total_ns
    assert (time.batch_rows, time.batch_tokens) == (2, reply.tokens)
