#!/usr/bin/env python3
"""Times BERT's encoder in PyTorch on a GPU: compiled, as a CUDA graph, with each attention backend."""

import argparse
import time
import warnings

import torch
import torch.nn.functional as F
from torch import nn

SIZES = {"base": (12, 768, 12, 3072), "large": (24, 1024, 16, 4096)}  # layers, hidden, heads, intermediate
POSITIONS = 8192
REPETITIONS = 40


class Layer(nn.Module):
    def __init__(self, hidden, heads, intermediate):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(hidden, 3 * hidden)
        self.out = nn.Linear(hidden, hidden)
        self.attention_norm = nn.LayerNorm(hidden, eps=1e-12)
        self.up = nn.Linear(hidden, intermediate)
        self.down = nn.Linear(intermediate, hidden)
        self.norm = nn.LayerNorm(hidden, eps=1e-12)

    def forward(self, x, mask):
        batch, length, hidden = x.shape
        split = self.qkv(x).view(batch, length, 3, self.heads, hidden // self.heads)
        query, key, value = split.permute(2, 0, 3, 1, 4)
        context = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        x = self.attention_norm(x + self.out(context.transpose(1, 2).reshape(batch, length, hidden)))
        return self.norm(x + self.down(F.gelu(self.up(x))))


class Bert(nn.Module):
    def __init__(self, layers, hidden, heads, intermediate):
        super().__init__()
        self.tokens = nn.Embedding(30522, hidden)
        self.positions = nn.Embedding(POSITIONS, hidden)
        self.types = nn.Embedding(2, hidden)
        self.norm = nn.LayerNorm(hidden, eps=1e-12)
        self.layers = nn.ModuleList(Layer(hidden, heads, intermediate) for _ in range(layers))
        self.pooler = nn.Linear(hidden, hidden)

    def forward(self, ids, positions, types, mask):
        x = self.norm(self.tokens(ids) + self.positions(positions) + self.types(types))
        for layer in self.layers:
            x = layer(x, mask)
        return torch.tanh(self.pooler(x[:, 0]))


def allow(backend, masked):
    """Lets attention use this backend alone; with a mask also the memory-efficient one, as flash takes none."""
    torch.backends.cuda.enable_flash_sdp(backend == "flash")
    torch.backends.cuda.enable_cudnn_sdp(backend == "cudnn")
    torch.backends.cuda.enable_mem_efficient_sdp(masked)
    torch.backends.cuda.enable_math_sdp(False)


def make_batch(shape, pad_to):
    """Token ids in pinned memory and the mask, None where nothing is padded."""
    if "," not in shape:
        batch, length = map(int, shape.split("x"))
        return torch.randint(0, 30000, (batch, length)).pin_memory(), None
    lengths = torch.tensor([int(length) for length in shape.split(",")])
    ids = torch.randint(0, 30000, (len(lengths), pad_to)).pin_memory()
    return ids, (torch.arange(pad_to)[None] < lengths[:, None])[:, None, None].cuda()


def median_milliseconds(model, host_ids, mask):
    ids = host_ids.cuda()
    positions = torch.arange(ids.shape[1], device="cuda").expand_as(ids).contiguous()
    types = torch.zeros_like(ids)
    compiled = torch.compile(model, dynamic=False)
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            compiled(ids, positions, types, mask)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        pooled = compiled(ids, positions, types, mask)
    host_pooled = torch.empty(pooled.shape, dtype=pooled.dtype).pin_memory()

    def run():
        ids.copy_(host_ids, non_blocking=True)
        graph.replay()
        host_pooled.copy_(pooled, non_blocking=True)
        torch.cuda.synchronize()

    for _ in range(3):
        run()
    times = []
    for _ in range(REPETITIONS):
        begin = time.perf_counter()
        run()
        times.append(1e3 * (time.perf_counter() - begin))
    return sorted(times)[REPETITIONS // 2]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shapes", nargs="+", metavar="SHAPE", help="BATCHxLENGTH, or lengths with commas")
    parser.add_argument("--size", choices=SIZES, default="base")
    parser.add_argument("--pad-to", type=int, default=512, help="length that ragged batches are padded to (default 512)")
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        parser.error("PyTorch finds no GPU here")
    warnings.filterwarnings("ignore")
    torch.manual_seed(0)
    print(f"{torch.cuda.get_device_name()}, PyTorch {torch.__version__}, BERT-{arguments.size} in bf16")
    model = Bert(*SIZES[arguments.size]).eval().cuda().to(torch.bfloat16)
    for shape in arguments.shapes:
        ids, mask = make_batch(shape, arguments.pad_to)
        found = []
        for backend in ("flash", "cudnn"):
            torch._dynamo.reset()
            allow(backend, mask is not None)
            with torch.inference_mode():
                found.append(f"{backend} {median_milliseconds(model, ids, mask):.3f} ms")
        name = shape if "," not in shape else f"{len(ids)} ragged, padded to {arguments.pad_to}"
        print(f"{name}: {', '.join(found)}", flush=True)


if __name__ == "__main__":
    main()
