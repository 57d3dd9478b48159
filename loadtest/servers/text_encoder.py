"""From texts to embeddings around an engine: tokens, padding, mean pooling, as sentence-transformers does it."""

import json

import numpy as np
import tokenizers


def max_tokens(folder):
    """Tokens that texts are cut to: what sentence-transformers has for the model, else all that it has positions for."""
    limit = folder / "sentence_bert_config.json"
    config = json.loads((folder / "config.json").read_text())
    own = json.loads(limit.read_text()).get("max_seq_length") if limit.is_file() else None
    return min(own or config["max_position_embeddings"], config["max_position_embeddings"])


class TextEncoder:
    """`engine(input_ids, mask)` gives the last hidden state of a padded batch, [batch, length, hidden]."""

    def __init__(self, folder, engine):
        self._tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.enable_truncation(max_tokens(folder))
        self._tokenizer.enable_padding()
        self._engine = engine

    def embed(self, texts):
        """[len(texts), hidden], each of length 1."""
        encoded = self._tokenizer.encode_batch(texts)
        ids = np.array([one.ids for one in encoded], np.int64)
        mask = np.array([one.attention_mask for one in encoded], np.int64)
        hidden = self._engine(ids, mask)
        weights = mask[:, :, np.newaxis].astype(np.float32)
        means = (hidden * weights).sum(axis=1) / weights.sum(axis=1)
        return means / np.linalg.norm(means, axis=1, keepdims=True)
