"""MLServer with ONNX Runtime, its gRPC door and its adaptive batching."""

import asyncio
import socket
import sys

import grpc
from mlserver import MLServer, ModelSettings, Settings
from mlserver.grpc import dataplane_pb2, dataplane_pb2_grpc
from mlserver.settings import ModelParameters

import options
from mlserver_runtime import SentenceEncoder

START_TIMEOUT_S = 60


def free_ports(count):
    """Ports of loopback that were free a moment ago: MLServer does not tell which one it got."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


async def say_when_ready(port):
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = dataplane_pb2_grpc.GRPCInferenceServiceStub(channel)
        request = dataplane_pb2.ModelReadyRequest(name="model")
        for _ in range(10 * START_TIMEOUT_S):
            try:
                if (await stub.ModelReady(request)).ready:
                    print(f"listening 127.0.0.1:{port}", flush=True)
                    return
            except grpc.RpcError:
                pass
            await asyncio.sleep(0.1)
    sys.exit(f"mlserver was not ready after {START_TIMEOUT_S} s")


async def run(arguments):
    grpc_port, http_port, metrics_port = free_ports(3)
    grpc_port = arguments.port or grpc_port
    settings = Settings(
        host="127.0.0.1", grpc_port=grpc_port, http_port=http_port, metrics_port=metrics_port,
        parallel_workers=0, debug=False, metrics_endpoint=None, gzip_enabled=False,
    )
    model = ModelSettings(
        name="model", implementation=SentenceEncoder, max_batch_size=arguments.max_batch_size,
        max_batch_time=arguments.max_delay_ms / 1000,
        parameters=ModelParameters(extra={"folder": str(arguments.model), "threads": arguments.threads}),
    )
    server = MLServer(settings)
    ready = asyncio.create_task(say_when_ready(grpc_port))
    await server.start([model])  # until it is told to stop, or has failed
    if not ready.done():
        sys.exit("mlserver ended before it was ready; its log above says why")


def main():
    parser = options.parser("mlserver", __doc__)
    asyncio.run(run(options.parse(parser)))


if __name__ == "__main__":
    main()
