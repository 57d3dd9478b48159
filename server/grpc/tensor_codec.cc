#include "server/grpc/tensor_codec.h"

#include <cstdint>
#include <iterator>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/check.h"
#include "google/protobuf/descriptor.h"
#include "server/wire/tensor_elements.h"

namespace reprise::server::grpc {
namespace {

using inference::InferTensorContents;
using InputTensor = inference::ModelInferRequest::InferInputTensor;
using wire::StoreNumbers;
using wire::TensorLayout;

absl::StatusOr<TensorLayout> ReadLayout(const InputTensor& input) {
  return wire::ReadLayout(input.name(), input.datatype(),
                          {input.shape().begin(), input.shape().end()});
}

// The field of InferTensorContents for elements of a datatype; 0 for those that travel raw only.
int FieldFor(DataType datatype) {
  switch (datatype) {
    case DataType::kBool:
      return InferTensorContents::kBoolContentsFieldNumber;
    case DataType::kInt8:
    case DataType::kInt16:
    case DataType::kInt32:
      return InferTensorContents::kIntContentsFieldNumber;
    case DataType::kInt64:
      return InferTensorContents::kInt64ContentsFieldNumber;
    case DataType::kUint8:
    case DataType::kUint16:
    case DataType::kUint32:
      return InferTensorContents::kUintContentsFieldNumber;
    case DataType::kUint64:
      return InferTensorContents::kUint64ContentsFieldNumber;
    case DataType::kFp32:
      return InferTensorContents::kFp32ContentsFieldNumber;
    case DataType::kFp64:
      return InferTensorContents::kFp64ContentsFieldNumber;
    case DataType::kBytes:
      return InferTensorContents::kBytesContentsFieldNumber;
    case DataType::kFp16:
    case DataType::kBf16:
      return 0;
  }
  return 0;
}

// Elements may lie in the field of the tensor's datatype and nowhere else.
absl::Status CheckFields(const InputTensor& input, DataType datatype) {
  const int expected = FieldFor(datatype);
  if (expected == 0) {
    return wire::InvalidInput(
        input.name(),
        absl::StrCat("datatype ", input.datatype(), " has no typed field; use raw_input_contents"));
  }
  std::vector<const google::protobuf::FieldDescriptor*> filled;
  InferTensorContents::GetReflection()->ListFields(input.contents(), &filled);
  for (const auto* field : filled) {
    if (field->number() != expected) {
      return wire::InvalidInput(
          input.name(),
          absl::StrCat("found elements in ", field->name(), ", expected datatype ",
                       input.datatype(), " in ",
                       InferTensorContents::descriptor()->FindFieldByNumber(expected)->name()));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<Tensor> StoreTyped(TensorLayout layout, InferTensorContents* contents) {
  switch (layout.tensor.datatype) {
    case DataType::kBool:
      return StoreNumbers<bool>(std::move(layout), contents->bool_contents());
    case DataType::kInt8:
      return StoreNumbers<std::int8_t>(std::move(layout), contents->int_contents());
    case DataType::kInt16:
      return StoreNumbers<std::int16_t>(std::move(layout), contents->int_contents());
    case DataType::kInt32:
      return StoreNumbers<std::int32_t>(std::move(layout), contents->int_contents());
    case DataType::kInt64:
      return StoreNumbers<std::int64_t>(std::move(layout), contents->int64_contents());
    case DataType::kUint8:
      return StoreNumbers<std::uint8_t>(std::move(layout), contents->uint_contents());
    case DataType::kUint16:
      return StoreNumbers<std::uint16_t>(std::move(layout), contents->uint_contents());
    case DataType::kUint32:
      return StoreNumbers<std::uint32_t>(std::move(layout), contents->uint_contents());
    case DataType::kUint64:
      return StoreNumbers<std::uint64_t>(std::move(layout), contents->uint64_contents());
    case DataType::kFp32:
      return StoreNumbers<float>(std::move(layout), contents->fp32_contents());
    case DataType::kFp64:
      return StoreNumbers<double>(std::move(layout), contents->fp64_contents());
    case DataType::kFp16:
    case DataType::kBf16:
      break;  // refused by CheckFields
    case DataType::kBytes: {
      auto& texts = *contents->mutable_bytes_contents();
      return wire::StoreTexts(std::move(layout), {std::make_move_iterator(texts.begin()),
                                                  std::make_move_iterator(texts.end())});
    }
  }
  return absl::InternalError("a datatype without a rule");
}

}  // namespace

absl::StatusOr<Tensor> DecodeTypedTensor(InputTensor input) {
  REPRISE_ASSIGN_OR_RETURN(TensorLayout layout, ReadLayout(input));
  REPRISE_RETURN_IF_ERROR(CheckFields(input, layout.tensor.datatype));
  return StoreTyped(std::move(layout), input.mutable_contents());
}

absl::StatusOr<Tensor> DecodeRawTensor(const InputTensor& input, std::string raw) {
  REPRISE_ASSIGN_OR_RETURN(TensorLayout layout, ReadLayout(input));
  return wire::StoreRaw(std::move(layout), std::move(raw));
}

}  // namespace reprise::server::grpc
