#!/usr/bin/env python3
"""Sends calls at a rate whatever becomes of them, and counts how each one ended.

    open_loop.py --target ipv4:127.0.0.1:8001,127.0.0.1:8011 --model tiny --rate 300 --requests 3000 --health readiness

Calls start as a Poisson process. With several addresses in --target the client spreads them round robin; with --health
it also asks each server's grpc.health.v1 for that service, and sends nothing to one that says no. Prints `answered` at
the first answer and `enough` when --requests calls have been sent; goes on sending until standard input is closed, and
then prints one JSON object. Every answer must have the bytes of the first one. Started by rolling_restart; a process of
its own, so that nothing else delays its calls.
"""

import argparse
import asyncio
import collections
import json
import math
import random
import sys
import time

import grpc
import numpy as np
from tritonclient.grpc import service_pb2

METHOD = "/inference.GRPCInferenceService/ModelInfer"
LATE_S = 0.01
# Otherwise a client waits up to two minutes before it looks again for a server that was away.
MAX_RECONNECT_BACKOFF_MS = 1000
EXAMPLES = 100


class Outcomes:
    def __init__(self):
        self.started_at = time.monotonic()
        self.sent = 0
        self.late = 0
        self.codes = collections.Counter()
        self.wrong = 0
        self.latencies = []
        self.examples = []  # of failures: when, and what was said
        self.expected = None  # the bytes of the first answer

    def answer(self, reply, latency):
        self.codes["OK"] += 1
        self.latencies.append(latency)
        if self.expected is None:
            self.expected = reply
            print("answered", flush=True)
        self.wrong += reply != self.expected

    def failure(self, error):
        self.codes[error.code().name] += 1
        if len(self.examples) < EXAMPLES:
            at_s = round(time.monotonic() - self.started_at, 3)
            self.examples.append({"at_s": at_s, "code": error.code().name, "details": error.details()})

    def report(self):
        latencies = sorted(self.latencies)

        def percentile(percent):
            if not latencies:
                return None
            return round(latencies[math.ceil(len(latencies) * percent / 100) - 1] * 1000, 2)

        return {
            "requests": self.sent,
            "codes": dict(self.codes),
            "failed": self.sent - self.codes["OK"],
            "wrong_answers": self.wrong,
            "late_percent": round(100 * self.late / self.sent, 2) if self.sent else None,
            "p50_ms": percentile(50),
            "p99_ms": percentile(99),
            "max_ms": percentile(100),
            "seconds": round(time.monotonic() - self.started_at, 1),
            "failures": self.examples,
        }


async def call(stub, message, due, timeout_s, outcomes):
    try:
        reply = await stub(message, timeout=timeout_s)
        outcomes.answer(reply, time.monotonic() - due)
    except grpc.RpcError as error:
        outcomes.failure(error)


async def send(arguments, stub, outcomes):
    rng = random.Random(arguments.seed)
    message = ids_message(arguments.model, arguments.tokens)
    input_closed = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    calls = set()
    due = time.monotonic()
    while outcomes.sent < arguments.requests or not input_closed.done():
        due += rng.expovariate(arguments.rate)
        # Also where it is late already, or answers would never be looked at.
        await asyncio.sleep(max(0, due - time.monotonic()))
        outcomes.late += time.monotonic() - due > LATE_S
        task = asyncio.create_task(call(stub, message, due, arguments.timeout_s, outcomes))
        calls.add(task)
        task.add_done_callback(calls.discard)
        outcomes.sent += 1
        if outcomes.sent == arguments.requests:
            print("enough", flush=True)
    await asyncio.gather(*calls)


def ids_message(model, tokens):
    request = service_pb2.ModelInferRequest(model_name=model)
    request.inputs.add(name="input_ids", datatype="INT64", shape=[1, tokens])
    request.raw_input_contents.append(np.full(tokens, 7, "<i8").tobytes())
    return request.SerializeToString()


def channel_options(health):
    service_config = {"loadBalancingConfig": [{"round_robin": {}}]}
    if health is not None:
        service_config["healthCheckConfig"] = {"serviceName": health}
    return [
        ("grpc.service_config", json.dumps(service_config)),
        ("grpc.max_reconnect_backoff_ms", MAX_RECONNECT_BACKOFF_MS),
        ("grpc.initial_reconnect_backoff_ms", MAX_RECONNECT_BACKOFF_MS // 4),
    ]


async def run(arguments):
    outcomes = Outcomes()
    async with grpc.aio.insecure_channel(arguments.target, channel_options(arguments.health)) as channel:
        await asyncio.wait_for(channel.channel_ready(), arguments.start_timeout_s)
        outcomes.started_at = time.monotonic()
        await send(arguments, channel.unary_unary(METHOD), outcomes)  # bytes in, bytes out
    print(json.dumps(outcomes.report()))


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", required=True, help="of gRPC: one address, or ipv4: and several with commas between")
    parser.add_argument("--model", required=True)
    parser.add_argument("--tokens", type=int, default=16, help="ids of each call; default: 16")
    parser.add_argument("--rate", type=float, required=True, help="calls per second")
    parser.add_argument("--requests", type=int, required=True, help="least number of calls")
    parser.add_argument("--health", help="service to ask grpc.health.v1 for; default: do not ask")
    parser.add_argument("--timeout-s", type=float, default=20, help="deadline of each call; default: 20")
    parser.add_argument("--start-timeout-s", type=float, default=30, help="wait for the first connection; default: 30")
    parser.add_argument("--seed", type=int, default=1, help="of the arrivals; default: 1")
    return parser.parse_args()


if __name__ == "__main__":
    asyncio.run(run(parse_arguments()))
