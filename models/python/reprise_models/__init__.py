"""Reuse transformers outside the server: to train them, to make them, to look into them.

Importing this needs numpy and safetensors only; PyTorch is imported by `model`, `huggingface` and `distill`, TensorFlow by
`model_garden` when it reads a checkpoint file.
"""

from reprise_models.checkpoint import Checkpoint, CheckpointError
from reprise_models.reuse_plan import ReusePlan, ReusePlanError

__all__ = ["Checkpoint", "CheckpointError", "ReusePlan", "ReusePlanError"]
