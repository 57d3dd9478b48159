"""The same module for Hugging Face's Trainer, AutoModel and the like; needs transformers.

    from transformers import AutoModel
    import reprise_models.huggingface
    reprise_models.huggingface.register()
    model = AutoModel.from_pretrained("all-MiniLM-L6-v2-reuse")
"""

from __future__ import annotations

import pathlib

from transformers import AutoConfig, AutoModel, BertConfig, PreTrainedModel

from reprise_models.checkpoint import Checkpoint
from reprise_models.model import ReuseBert


class ReuseBertConfig(BertConfig):
    """Hugging Face's BertConfig; the keys of ours (attention_reuse, norm_first, ...) are kept as they are."""


class ReuseBertModel(PreTrainedModel):
    """`bert` is the ReuseBert; forward is its forward. Directories are read and written by Checkpoint, so that `reprise serve`
    takes what a Trainer saves, tokenizer and pooling files included."""

    config_class = ReuseBertConfig
    base_model_prefix = "bert"

    def __init__(self, config, checkpoint):
        super().__init__(config)
        self.bert = ReuseBert(checkpoint)

    @classmethod
    def from_pretrained(cls, directory, *arguments, **options):
        """Of a local checkpoint directory; options of Hugging Face's loader that a plain load does not need are refused."""
        config = options.pop("config", None)
        unknown = sorted(name for name, value in options.items() if value is not None and not name.startswith("_")
                         and name not in ("trust_remote_code", "return_dict", "adapter_kwargs"))
        if arguments or unknown:
            raise ValueError(f"ReuseBertModel.from_pretrained does not take {unknown or arguments}; expected a directory alone")
        checkpoint = Checkpoint.load(pathlib.Path(directory))
        return cls(config or ReuseBertConfig.from_pretrained(directory), checkpoint).eval()

    def save_pretrained(self, save_directory, *_, **__):
        """Writes a new directory."""
        self.bert.save_pretrained(save_directory)

    def forward(self, *arguments, **named):
        return self.bert(*arguments, **named)


def register():
    """AutoConfig and AutoModel read every directory of model_type "bert" with these classes from now on, in this process: a
    checkpoint without attention_reuse is an ordinary BERT here too."""
    AutoConfig.register("bert", ReuseBertConfig, exist_ok=True)
    AutoModel.register(ReuseBertConfig, ReuseBertModel, exist_ok=True)
