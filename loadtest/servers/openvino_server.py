"""OpenVINO behind a thin Python server of ours: its engine, our protocol."""

import asyncio

import options
from grpc_front import serve
from openvino_engine import OpenVinoEngine
from text_encoder import TextEncoder


def main():
    parser = options.parser("openvino", __doc__)
    parser.add_argument("--precision", choices=["bf16", "fp32"], default="bf16", help="of its matrix products")
    arguments = parser.parse_args()
    encoder = TextEncoder(arguments.model, OpenVinoEngine(arguments.model, arguments.precision, arguments.threads))
    encoder.embed(["A warm-up."])
    asyncio.run(serve(encoder.embed, arguments.port, arguments.max_batch_size, arguments.max_delay_ms / 1000))


if __name__ == "__main__":
    main()
