// What a fuzzer calls with arbitrary bytes; an input that must not be possible ends the process.
#pragma once

#include <cstdint>
#include <span>

namespace reprise::fuzz {

// A whole safetensors file: whatever it says, what is accepted lies within it and can be read.
void FuzzSafetensors(std::span<const std::uint8_t> input);
// The text of config.json and of sentence-transformers' files: what is accepted is written and read
// back the same, and has tensors that can be counted.
void FuzzBertConfig(std::span<const std::uint8_t> input);
// Two bytes for layers and heads, then the value of attention_reuse: an accepted plan keeps the
// promises of reuse_plan.h.
void FuzzReusePlan(std::span<const std::uint8_t> input);
// The text of a calibration file: what is accepted is written and read back the same, and gives a
// strategy for any length.
void FuzzCalibration(std::span<const std::uint8_t> input);
// A ModelInferRequest as it arrives: what is decoded keeps the promises of tensor.h and can be sent
// back. Only where the server is built.
void FuzzModelInferRequest(std::span<const std::uint8_t> input);
// One byte for the limit, then a text for a small WordPiece tokenizer: ids lie in the vocabulary,
// and a limit holds. Only where the server is built.
void FuzzTokenizerText(std::span<const std::uint8_t> input);
// A whole tokenizer.json: it is refused, or encodes into its own vocabulary. Only where the server
// is built.
void FuzzTokenizerFile(std::span<const std::uint8_t> input);
// The text of model.json: what is accepted is within the ranges of its options. Only where the
// server is built.
void FuzzModelPolicy(std::span<const std::uint8_t> input);
// The text of golden.json: what is accepted keeps the promises of golden_file.h and is written and
// read back the same. Only where the server is built.
void FuzzGolden(std::span<const std::uint8_t> input);
// A line with the value of Inference-Header-Content-Length (empty: no such header) and the body of
// an infer request over HTTP: the same promises. Only where the server is built.
void FuzzHttpInferBody(std::span<const std::uint8_t> input);

}  // namespace reprise::fuzz
