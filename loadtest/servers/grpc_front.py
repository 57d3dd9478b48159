"""A thin server of the Open Inference Protocol around engines that have none of their own: one text per call.

`Batcher` is for an engine that knows only batches; one that makes batches itself is asked for each text by itself.
"""

import asyncio
import concurrent.futures
import signal
import struct

import grpc
from tritonclient.grpc import service_pb2, service_pb2_grpc


WINDOW = 8  # batches of waiting texts among which those of like length are looked for
MAX_PADDED = 1.25  # times the batch's real length that its padded one may be


class BadRequest(Exception):
    """Says what is wrong with a request."""


def text_of(request):
    """The one text of a ModelInferRequest."""
    if len(request.inputs) != 1 or request.inputs[0].name != "text" or request.inputs[0].datatype != "BYTES":
        raise BadRequest("expected one input, `text` of BYTES")
    if list(request.inputs[0].shape) not in ([1], [1, 1]):
        raise BadRequest(f"`text` has the shape {list(request.inputs[0].shape)}, expected [1]")
    if request.raw_input_contents:
        raw = request.raw_input_contents[0]
        if len(raw) < 4 or struct.unpack_from("<I", raw)[0] != len(raw) - 4:
            raise BadRequest("`text` is not four bytes of length and so many bytes of text")
        data = raw[4:]
    elif len(request.inputs[0].contents.bytes_contents) == 1:
        data = request.inputs[0].contents.bytes_contents[0]
    else:
        raise BadRequest("`text` has no contents")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise BadRequest(f"`text` is not UTF-8: {error}") from None


def answer(request, embedding):
    """The ModelInferResponse with one embedding."""
    response = service_pb2.ModelInferResponse(model_name=request.model_name, id=request.id)
    response.outputs.add(name="sentence_embedding", datatype="FP32", shape=[1, len(embedding)])
    response.raw_output_contents.append(embedding.astype("<f4").tobytes())
    return response


def alike(waiting, max_batch_size):
    """Of texts (oldest first) the positions of the oldest and of those nearest to its length: a batch with little padding."""
    by_length = sorted(range(1, len(waiting)), key=lambda at: abs(len(waiting[at]) - len(waiting[0])))
    batch, longest, total = [0], len(waiting[0]), len(waiting[0])
    for at in by_length:
        longest, total = max(longest, len(waiting[at])), total + len(waiting[at])
        if len(batch) == max_batch_size or longest * (len(batch) + 1) > MAX_PADDED * total:
            break
        batch.append(at)
    return sorted(batch)


class Batcher:
    """Collects texts while the engine is busy, and up to `max_delay_s` longer; runs them in one thread.

    `embed(texts)` gives one row for each text. An async context manager, within which `embed(text)` is answered.
    """

    def __init__(self, embed, max_batch_size, max_delay_s):
        self._embed = embed
        self._max_batch_size = max_batch_size
        self._max_delay_s = max_delay_s
        self._waiting = []  # (text, future of its row), oldest first
        self._more = asyncio.Event()
        self._thread = concurrent.futures.ThreadPoolExecutor(1)

    async def __aenter__(self):
        self._running = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *unused):
        self._running.cancel()

    async def embed(self, text):
        result = asyncio.get_running_loop().create_future()
        self._waiting.append((text, result))
        self._more.set()
        return await result

    async def _run(self):
        while True:
            batch = await self._next_batch()
            texts = [text for text, _ in batch]
            try:
                embeddings = await asyncio.get_running_loop().run_in_executor(self._thread, self._embed, texts)
            except Exception as error:  # the callers are told; the next batch may fare better
                for _, result in batch:
                    if not result.cancelled():
                        result.set_exception(RuntimeError(str(error)))
                continue
            for (_, result), embedding in zip(batch, embeddings):
                if not result.cancelled():
                    result.set_result(embedding)

    async def _next_batch(self):
        await self._wait_for_more(None, 1)
        if self._max_delay_s > 0:
            await self._wait_for_more(self._max_delay_s, self._max_batch_size)
        window = self._waiting[: self._max_batch_size * WINDOW]
        batch = [window[at] for at in alike([text for text, _ in window], self._max_batch_size)]
        for entry in batch:
            self._waiting.remove(entry)
        return batch

    async def _wait_for_more(self, seconds, count):
        """Until `count` texts wait or the time is over; None: as long as it takes."""
        try:
            async with asyncio.timeout(seconds):
                while len(self._waiting) < count:
                    self._more.clear()
                    await self._more.wait()
        except TimeoutError:
            pass


class Service(service_pb2_grpc.GRPCInferenceServiceServicer):
    """ModelInfer, whatever the model is called; `await embed(text)` gives a row."""

    def __init__(self, embed):
        self._embed = embed

    async def ModelInfer(self, request, context):
        try:
            text = text_of(request)
        except BadRequest as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        try:
            return answer(request, await self._embed(text))
        except Exception as error:  # whatever the engine finds wrong; the next call may fare better
            await context.abort(grpc.StatusCode.INTERNAL, str(error))


async def start(embed, port):
    """The running server and its port."""
    server = grpc.aio.server()
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(Service(embed), server)
    bound = server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    return server, bound


async def serve(embed, port):
    """Serves until SIGTERM, then answers what it has been asked."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    server, bound = await start(embed, port)
    print(f"listening 127.0.0.1:{bound}", flush=True)
    await stop.wait()
    await server.stop(grace=10)
