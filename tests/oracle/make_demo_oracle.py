"""Writes tests/data/minilm_oracle.json: what the published all-MiniLM-L6-v2 answers to the texts of sentences.json.

The published model is run by its own library, sentence-transformers, one text at a time. It is evaluated in float64, so that
the digits belong to the weights and not to one machine's order of summation. Nothing of this project is imported.

    python3 -m venv /tmp/oracle && /tmp/oracle/bin/pip install -r tests/oracle/requirements.txt
    /tmp/oracle/bin/python tests/oracle/make_demo_oracle.py
"""

import argparse
import hashlib
import json
import pathlib
import platform

import sentence_transformers
import tokenizers
import torch
import transformers

ROOT = pathlib.Path(__file__).resolve().parents[2]


def eight_digits(values):
    """Numbers as JSON will show them: eight significant digits."""
    return [float(f"{value:.8g}") for value in values]


def answer(model, text):
    """Token ids, pooler output and sentence embedding of one text, truncated as the published model does."""
    features = model.tokenize([text])
    hidden = model[0].auto_model(**features)
    embedding = model.encode([text], convert_to_tensor=True, show_progress_bar=False)[0]
    whole = model.tokenizer(text, verbose=False)["input_ids"]
    return {
        "text": text,
        "input_ids": features["input_ids"][0].tolist(),
        "truncated": len(whole) > model.max_seq_length,
        "pooler_output": eight_digits(hidden.pooler_output[0].tolist()[:16]),
        "sentence_embedding": eight_digits(embedding.tolist()),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=pathlib.Path, default=ROOT / ".deps/models/all-MiniLM-L6-v2")
    parser.add_argument("--output", type=pathlib.Path, default=ROOT / "tests/data/minilm_oracle.json")
    arguments = parser.parse_args()

    torch.set_grad_enabled(False)
    torch.set_num_threads(1)
    model = sentence_transformers.SentenceTransformer(str(arguments.model), device="cpu").double()
    texts = json.loads((pathlib.Path(__file__).parent / "sentences.json").read_text(encoding="utf-8"))
    weights = (arguments.model / "model.safetensors").read_bytes()
    oracle = {
        "made_by": "tests/oracle/make_demo_oracle.py",
        "model": "sentence-transformers/all-MiniLM-L6-v2",
        "model_sha256": hashlib.sha256(weights).hexdigest(),
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "sentence_transformers": sentence_transformers.__version__,
            "tokenizers": tokenizers.__version__,
        },
        "precision": "float64, written with 8 significant digits; pooler_output holds its first 16 values",
        "sentences": [answer(model, text) for text in texts],
    }
    # One sentence per line: a changed answer shows as one changed line.
    head = json.dumps({key: value for key, value in oracle.items() if key != "sentences"}, indent=1)[:-2]
    rows = ",\n".join(json.dumps(row, ensure_ascii=False) for row in oracle["sentences"])
    arguments.output.write_text(f'{head},\n "sentences": [\n{rows}\n]}}\n', encoding="utf-8")
    print(f"{arguments.output}: {len(oracle['sentences'])} sentences")


if __name__ == "__main__":
    main()
