"""OpenVINO behind a thin Python server of ours: its engine, our protocol and batches."""

import asyncio

import options
from grpc_front import Batcher, serve


async def run(arguments, encoder):
    async with Batcher(encoder.embed, arguments.max_batch_size, arguments.max_delay_ms / 1000) as batcher:
        await serve(batcher.embed, arguments.port)


def main():
    parser = options.parser("openvino", __doc__)
    parser.add_argument("--precision", choices=["bf16", "fp32"], default="bf16", help="of its matrix products")
    arguments = options.parse(parser)
    # After the process is bound to its cores: engines look at them when they are imported.
    from openvino_engine import OpenVinoEngine
    from text_encoder import TextEncoder

    encoder = TextEncoder(arguments.model, OpenVinoEngine(arguments.model, arguments.precision, arguments.threads))
    encoder.embed(["A warm-up."])
    asyncio.run(run(arguments, encoder))


if __name__ == "__main__":
    main()
