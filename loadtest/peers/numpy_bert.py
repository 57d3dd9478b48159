"""The encoder in plain numpy, fp32: what every peer's answer is checked against."""

import math

import numpy as np

# erf at many points, as numpy has none. Between them a straight line is right to 1e-8, and beyond 6
# it is 1 in fp32.
ERF_POINTS = np.linspace(-6, 6, 1 << 16)
ERF_VALUES = np.array([math.erf(x) for x in ERF_POINTS])


def linear(x, layer):
    """x [seq_len, inputs] -> [seq_len, outputs]."""
    return x @ layer.weight.T + layer.bias


def layer_norm(x, norm, eps):
    """x [seq_len, hidden_size], normalised token by token."""
    centred = x - x.mean(axis=-1, keepdims=True)
    variance = np.square(centred).mean(axis=-1, keepdims=True)
    return centred / np.sqrt(variance + np.float32(eps)) * norm.weight + norm.bias


def gelu(x):
    """x Phi(x), with erf and not its tanh look-alike."""
    erf = np.interp(x * np.float32(math.sqrt(0.5)), ERF_POINTS, ERF_VALUES).astype(np.float32)
    return x * np.float32(0.5) * (1 + erf)


def softmax(x):
    """Along the last axis."""
    exponentials = np.exp(x - x.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def attention(bert, layer, x):
    """Context of all heads side by side, [seq_len, hidden_size]. Head by head, to need less memory."""
    query, key, value = (linear(x, part) for part in (layer.query, layer.key, layer.value))
    context = np.empty_like(query)
    for head in range(bert.num_heads):
        own = slice(head * bert.head_dim, (head + 1) * bert.head_dim)
        attention_scores = query[:, own] @ key[:, own].T / np.float32(math.sqrt(bert.head_dim))
        context[:, own] = softmax(attention_scores) @ value[:, own]
    return context


def encode(bert, input_ids):
    """The last hidden state, [seq_len, hidden_size], of input_ids [seq_len]."""
    eps = bert.layer_norm_eps
    x = bert.word_embeddings[input_ids] + bert.place_embeddings(len(input_ids))
    x = layer_norm(x, bert.embedding_norm, eps)
    for layer in bert.layers:
        attended = linear(attention(bert, layer, x), layer.attention_output)
        x = layer_norm(x + attended, layer.attention_norm, eps)
        fed_forward = linear(gelu(linear(x, layer.intermediate)), layer.output)
        x = layer_norm(x + fed_forward, layer.output_norm, eps)
    return x


def worst_cosine(answer, reference):
    """The smallest cosine between a token's vectors in two arrays [seq_len, hidden_size]; NaN if any is."""
    products = np.sum(answer * reference, axis=-1)
    lengths = np.linalg.norm(answer, axis=-1) * np.linalg.norm(reference, axis=-1)
    return float(np.min(products / lengths))
