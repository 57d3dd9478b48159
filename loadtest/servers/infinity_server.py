"""infinity's embedding engine behind a thin Python server of ours: its batches, its tokenizing, PyTorch; our protocol."""

import asyncio
import os

import options
from grpc_front import serve

DTYPES = {"bf16": "bfloat16", "fp32": "float32"}


async def run(arguments):
    # After the process is bound to its cores: PyTorch looks at them when it is imported.
    import torch
    from infinity_emb import AsyncEmbeddingEngine, EngineArgs

    torch.set_num_threads(arguments.threads)
    engine = AsyncEmbeddingEngine.from_args(
        EngineArgs(
            model_name_or_path=str(arguments.model.resolve()),
            engine="torch",
            device="cpu",
            dtype=DTYPES[arguments.precision],
            batch_size=arguments.max_batch_size,
            compile=arguments.compile,
            bettertransformer=False,  # needs a release of optimum that is gone; attention is PyTorch's own fused one
            lengths_via_tokenize=False,
        )
    )

    async def embed(text):
        embeddings, _ = await engine.embed([text])
        return embeddings[0]

    async with engine:
        await embed("A warm-up.")
        await serve(embed, arguments.port)


def main():
    parser = options.parser("infinity", __doc__, delay=False)
    parser.add_argument("--precision", choices=["bf16", "fp32"], default="bf16", help="of weights and activations")
    parser.add_argument("--compile", action="store_true", help="torch.compile for any shape; needs a C++ compiler")
    arguments = options.parse(parser)
    # The model is a folder: nothing is asked for elsewhere, and nothing told.
    os.environ.update(HF_HUB_OFFLINE="1", DO_NOT_TRACK="1", OMP_NUM_THREADS=str(arguments.threads))
    asyncio.run(run(arguments))


if __name__ == "__main__":
    main()
