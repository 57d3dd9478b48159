"""MLServer's side of the model: a runtime for it around ONNX Runtime."""

import asyncio
import concurrent.futures
import functools
import pathlib

import numpy as np
from mlserver import MLModel, types
from mlserver.errors import InferenceError

from onnx_engine import OnnxEngine
from text_encoder import TextEncoder


class SentenceEncoder(MLModel):
    """Input `text` BYTES [n] -> output `sentence_embedding` FP32 [n, hidden]."""

    async def load(self):
        extra = self.settings.parameters.extra
        folder = pathlib.Path(extra["folder"])
        self._encoder = TextEncoder(folder, OnnxEngine(folder, extra["threads"]))
        self._encoder.embed(["A warm-up."])
        # One batch at a time: several at once would share the engine's cores, and each would be late.
        self._thread = concurrent.futures.ThreadPoolExecutor(1)
        return True

    async def predict(self, payload):
        texts = [text.decode() if isinstance(text, bytes) else text for text in self._texts(payload)]
        # In a thread, so that the event loop goes on to take requests for the next batch.
        embed = functools.partial(self._encoder.embed, texts)
        embeddings = np.asarray(await asyncio.get_running_loop().run_in_executor(self._thread, embed), np.float32)
        output = types.ResponseOutput(
            name="sentence_embedding", datatype="FP32", shape=list(embeddings.shape), data=embeddings.ravel().tolist()
        )
        return types.InferenceResponse(model_name=self.name, outputs=[output])

    def _texts(self, payload):
        if len(payload.inputs) != 1 or payload.inputs[0].name != "text":
            raise InferenceError("expected one input, `text` of BYTES")
        return payload.inputs[0].data.root
