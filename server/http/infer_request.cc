#include "server/http/infer_request.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <limits>
#include <span>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/check.h"
#include "engine/weights/json_file.h"
#include "server/http/json_document.h"
#include "server/wire/request_parameters.h"
#include "server/wire/tensor_elements.h"

namespace reprise::server::http {
namespace {

using engine::weights::JsonText;
using inference::InferParameter;
using Json = nlohmann::json;
using wire::InvalidInput;
using wire::TensorLayout;

// "found X, expected Y" about the value at `where`.
absl::Status Unexpected(std::string_view where, const Json& found, std::string_view expected) {
  return absl::InvalidArgumentError(absl::StrCat(std::string(where), ": found ", JsonText(found),
                                                 ", expected ", std::string(expected)));
}

// Null when `object` has no such key.
const Json* Find(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found == object.end() ? nullptr : &*found;
}

absl::StatusOr<std::string> ReadText(const Json& object, const char* key, std::string_view where) {
  const Json* value = Find(object, key);
  if (value == nullptr || !value->is_string()) {
    return Unexpected(absl::StrCat(std::string(where), key), value == nullptr ? Json() : *value,
                      "a string");
  }
  return value->get<std::string>();
}

// The array at `key`; empty when there is none.
absl::StatusOr<std::span<const Json>> ReadArray(const Json& object, const char* key) {
  const Json* value = Find(object, key);
  if (value == nullptr) return std::span<const Json>();
  if (!value->is_array()) return Unexpected(key, *value, "an array");
  const auto& array = value->get_ref<const Json::array_t&>();
  return std::span<const Json>(array);
}

absl::StatusOr<InferParameter> ReadParameter(const std::string& key, const Json& value) {
  InferParameter parameter;
  if (value.is_boolean()) {
    parameter.set_bool_param(value.get<bool>());
  } else if (value.is_number_unsigned()) {
    parameter.set_uint64_param(value.get<std::uint64_t>());
  } else if (value.is_number_integer()) {
    parameter.set_int64_param(value.get<std::int64_t>());
  } else if (value.is_number_float()) {
    parameter.set_double_param(value.get<double>());
  } else if (value.is_string()) {
    parameter.set_string_param(value.get<std::string>());
  } else {
    return Unexpected(absl::StrCat("parameter '", key, "'"), value, "a bool, number or string");
  }
  return parameter;
}

// The object `parameters` of a request, input or output; empty when there is none.
absl::StatusOr<wire::ParameterMap> ReadParameters(const Json& object) {
  wire::ParameterMap parameters;
  const Json* values = Find(object, "parameters");
  if (values == nullptr) return parameters;
  if (!values->is_object()) return Unexpected("parameters", *values, "an object");
  for (const auto& [key, value] : values->items()) {
    REPRISE_ASSIGN_OR_RETURN(parameters[key], ReadParameter(key, value));
  }
  return parameters;
}

absl::StatusOr<std::optional<bool>> ReadSwitch(const wire::ParameterMap& parameters,
                                               const char* key) {
  const auto found = parameters.find(key);
  if (found == parameters.end()) return std::nullopt;
  if (found->second.parameter_choice_case() != InferParameter::kBoolParam) {
    return absl::InvalidArgumentError(
        absl::StrCat("parameter '", key, "': expected true or false"));
  }
  return found->second.bool_param();
}

absl::Status DecodeOutput(const Json& output, InferenceRequest* request, ReplyWishes* wishes) {
  if (!output.is_object()) return Unexpected("outputs", output, "objects");
  REPRISE_ASSIGN_OR_RETURN(std::string name, ReadText(output, "name", "outputs: "));
  REPRISE_ASSIGN_OR_RETURN(const wire::ParameterMap parameters, ReadParameters(output));
  REPRISE_RETURN_IF_ERROR(wire::CheckTensorParameters(parameters));
  REPRISE_ASSIGN_OR_RETURN(const std::int64_t classes, wire::ReadClassification(parameters));
  if (classes > 0) wishes->classifications[name] = classes;
  REPRISE_ASSIGN_OR_RETURN(const std::optional<bool> binary, ReadSwitch(parameters, "binary_data"));
  if (binary.has_value()) wishes->binary[name] = *binary;
  request->output_names.push_back(std::move(name));
  return absl::OkStatus();
}

absl::StatusOr<TensorLayout> DecodeLayout(const Json& input) {
  REPRISE_ASSIGN_OR_RETURN(std::string name, ReadText(input, "name", "inputs: "));
  const std::string where = absl::StrCat("input '", name, "': ");
  REPRISE_ASSIGN_OR_RETURN(const std::string datatype, ReadText(input, "datatype", where));
  const Json* dims = Find(input, "shape");
  if (dims == nullptr || !dims->is_array()) {
    return Unexpected(absl::StrCat(where, "shape"), dims == nullptr ? Json() : *dims,
                      "an array of integers");
  }
  std::vector<std::int64_t> shape;
  for (const Json& dim : *dims) {
    const bool fits =
        dim.is_number_integer() &&
        (!dim.is_number_unsigned() || std::in_range<std::int64_t>(dim.get<std::uint64_t>()));
    if (!fits) return Unexpected(absl::StrCat(where, "shape"), *dims, "an array of integers");
    shape.push_back(dim.get<std::int64_t>());
  }
  return wire::ReadLayout(std::move(name), datatype, std::move(shape));
}

std::string_view KindName(JsonElements::Kind kind) {
  switch (kind) {
    case JsonElements::Kind::kNone:
      return "nothing";
    case JsonElements::Kind::kBools:
      return "true or false";
    case JsonElements::Kind::kIntegers:
      return "integers";
    case JsonElements::Kind::kReals:
      return "numbers that are not 64-bit integers";
    case JsonElements::Kind::kTexts:
      return "strings";
  }
  return "nothing";
}

// Lists may be flat, or nested as the shape says; lists of lists that happen to have the right
// number of elements in all would put them into the wrong rows.
absl::Status CheckNesting(const TensorLayout& layout, const JsonElements& elements) {
  const bool flat = elements.lengths.size() == 1 && !elements.uneven;
  if (flat) return absl::OkStatus();
  const std::vector<std::int64_t>& shape = layout.tensor.shape;
  // Below an empty list there is nothing to compare.
  const bool nested = !elements.uneven && elements.lengths.size() <= shape.size() &&
                      std::equal(elements.lengths.begin(), elements.lengths.end(), shape.begin()) &&
                      (elements.lengths.size() == shape.size() || layout.count == 0);
  if (nested) return absl::OkStatus();
  return InvalidInput(
      layout.tensor.name,
      absl::StrCat(
          "the lists in `data` are ",
          elements.uneven ? "of uneven length"
                          : absl::StrCat("of lengths [", absl::StrJoin(elements.lengths, ","), "]"),
          "; expected one flat list, or lists nested as shape [", absl::StrJoin(shape, ","), "]"));
}

absl::StatusOr<Tensor> Mismatch(const TensorLayout& layout, const JsonElements& elements,
                                std::string_view expected) {
  return InvalidInput(
      layout.tensor.name,
      absl::StrCat("`data` holds ", std::string(KindName(elements.kind)), ", expected ",
                   std::string(expected), " for ", std::string(Name(layout.tensor.datatype))));
}

template <typename Element>
absl::StatusOr<Tensor> StoreIntegers(TensorLayout layout, const JsonElements& elements) {
  if (elements.kind != JsonElements::Kind::kIntegers) {
    return Mismatch(layout, elements, "integers");
  }
  if (!elements.above_int64)
    return wire::StoreNumbers<Element>(std::move(layout), elements.integers);
  const std::span<const std::uint64_t> values(
      reinterpret_cast<const std::uint64_t*>(elements.integers.data()), elements.integers.size());
  return wire::StoreNumbers<Element>(std::move(layout), values);
}

template <typename Element>
absl::StatusOr<Tensor> StoreReals(TensorLayout layout, JsonElements elements) {
  if (elements.kind == JsonElements::Kind::kIntegers) {
    IntegersBecomeReals(&elements);
  } else if (elements.kind != JsonElements::Kind::kReals) {
    return Mismatch(layout, elements, "numbers");
  }
  for (const double value : elements.reals) {
    if (std::abs(value) > static_cast<double>(std::numeric_limits<Element>::max())) {
      return InvalidInput(layout.tensor.name,
                          absl::StrCat("the value ", value, " does not fit ",
                                       std::string(Name(layout.tensor.datatype))));
    }
  }
  return wire::StoreNumbers<Element>(std::move(layout), elements.reals);
}

absl::StatusOr<Tensor> StoreElements(TensorLayout layout, JsonElements elements) {
  REPRISE_RETURN_IF_ERROR(CheckNesting(layout, elements));
  const DataType datatype = layout.tensor.datatype;
  if (datatype == DataType::kFp16 || datatype == DataType::kBf16) {
    return InvalidInput(layout.tensor.name,
                        absl::StrCat(std::string(Name(datatype)),
                                     " cannot be written in JSON; send it as binary data, with the "
                                     "parameter binary_data_size"));
  }
  // Without elements there is no kind to be wrong.
  if (elements.kind == JsonElements::Kind::kNone) return wire::StoreRaw(std::move(layout), "");
  switch (datatype) {
    case DataType::kBool:
      if (elements.kind != JsonElements::Kind::kBools) {
        return Mismatch(layout, elements, "true or false");
      }
      return wire::StoreNumbers<bool>(std::move(layout), elements.integers);
    case DataType::kInt8:
      return StoreIntegers<std::int8_t>(std::move(layout), elements);
    case DataType::kInt16:
      return StoreIntegers<std::int16_t>(std::move(layout), elements);
    case DataType::kInt32:
      return StoreIntegers<std::int32_t>(std::move(layout), elements);
    case DataType::kInt64:
      return StoreIntegers<std::int64_t>(std::move(layout), elements);
    case DataType::kUint8:
      return StoreIntegers<std::uint8_t>(std::move(layout), elements);
    case DataType::kUint16:
      return StoreIntegers<std::uint16_t>(std::move(layout), elements);
    case DataType::kUint32:
      return StoreIntegers<std::uint32_t>(std::move(layout), elements);
    case DataType::kUint64:
      return StoreIntegers<std::uint64_t>(std::move(layout), elements);
    case DataType::kFp32:
      return StoreReals<float>(std::move(layout), std::move(elements));
    case DataType::kFp64:
      return StoreReals<double>(std::move(layout), std::move(elements));
    case DataType::kBytes:
      if (elements.kind != JsonElements::Kind::kTexts) return Mismatch(layout, elements, "strings");
      return wire::StoreTexts(std::move(layout), std::move(elements.texts));
    case DataType::kFp16:
    case DataType::kBf16:
      break;
  }
  return absl::InternalError("a datatype without a rule");
}

// The bytes behind the JSON that no input has taken yet.
class BinaryTail {
 public:
  explicit BinaryTail(std::string_view bytes) : left_(bytes) {}

  absl::StatusOr<std::string> Take(std::string_view input, const InferParameter& size) {
    // JSON numbers that are not negative are unsigned.
    if (size.parameter_choice_case() != InferParameter::kUint64Param) {
      return InvalidInput(input, "binary_data_size: expected an integer >= 0");
    }
    if (size.uint64_param() > left_.size()) {
      return InvalidInput(input, absl::StrCat("binary_data_size is ", size.uint64_param(),
                                              ", but only ", left_.size(),
                                              " bytes are left behind the JSON; is the header "
                                              "Inference-Header-Content-Length right?"));
    }
    std::string bytes(left_.substr(0, size.uint64_param()));
    left_.remove_prefix(bytes.size());
    return bytes;
  }

  absl::Status CheckEmpty() const {
    if (left_.empty()) return absl::OkStatus();
    return absl::InvalidArgumentError(
        absl::StrCat("found ", left_.size(),
                     " bytes behind the JSON that belong to no input; "
                     "expected a binary_data_size for each input that is not in JSON"));
  }

 private:
  std::string_view left_;
};

absl::StatusOr<Tensor> DecodeInput(const Json& input, JsonDocument* document, BinaryTail* tail) {
  if (!input.is_object()) return Unexpected("inputs", input, "objects");
  REPRISE_ASSIGN_OR_RETURN(TensorLayout layout, DecodeLayout(input));
  REPRISE_ASSIGN_OR_RETURN(const wire::ParameterMap parameters, ReadParameters(input));
  REPRISE_RETURN_IF_ERROR(wire::CheckTensorParameters(parameters));
  const auto size = parameters.find("binary_data_size");
  const Json* data = Find(input, "data");
  if (size != parameters.end()) {
    if (data != nullptr) {
      return InvalidInput(layout.tensor.name, "it has both `data` and binary_data_size; use one");
    }
    REPRISE_ASSIGN_OR_RETURN(std::string raw, tail->Take(layout.tensor.name, size->second));
    return wire::StoreRaw(std::move(layout), std::move(raw));
  }
  if (data == nullptr) {
    return InvalidInput(layout.tensor.name,
                        "found neither `data` nor the parameter binary_data_size");
  }
  // Arrays at this place were lifted out, and their index left behind; all else is not an array.
  if (!data->is_number_unsigned() || data->get<std::size_t>() >= document->elements.size()) {
    return Unexpected(absl::StrCat("input '", layout.tensor.name, "': data"), *data, "an array");
  }
  return StoreElements(std::move(layout), std::move(document->elements[data->get<std::size_t>()]));
}

absl::Status DecodeJson(std::string_view json, std::string_view binary, InferenceRequest* request,
                        ReplyWishes* wishes) {
  REPRISE_ASSIGN_OR_RETURN(JsonDocument document, ParseJson(json, DataLists::kLift));
  const Json root = std::move(document.root);
  if (!root.is_object()) return Unexpected("the request", root, "an object");
  if (const Json* id = Find(root, "id"); id != nullptr) {
    if (!id->is_string()) return Unexpected("id", *id, "a string");
    request->id = id->get<std::string>();
  }
  REPRISE_ASSIGN_OR_RETURN(const wire::ParameterMap parameters, ReadParameters(root));
  REPRISE_RETURN_IF_ERROR(wire::ReadRequestParameters(parameters, request));
  REPRISE_ASSIGN_OR_RETURN(const std::optional<bool> binary_output,
                           ReadSwitch(parameters, "binary_data_output"));
  REPRISE_ASSIGN_OR_RETURN(wishes->timing, wire::ReadTimingWish(parameters));
  wishes->binary_by_default = binary_output.value_or(false);
  REPRISE_ASSIGN_OR_RETURN(const std::span<const Json> outputs, ReadArray(root, "outputs"));
  for (const Json& output : outputs) {
    REPRISE_RETURN_IF_ERROR(DecodeOutput(output, request, wishes));
  }
  REPRISE_RETURN_IF_ERROR(wire::CheckOutputNames(request->output_names));
  REPRISE_ASSIGN_OR_RETURN(const std::span<const Json> inputs, ReadArray(root, "inputs"));
  BinaryTail tail(binary);
  for (const Json& input : inputs) {
    REPRISE_ASSIGN_OR_RETURN(Tensor tensor, DecodeInput(input, &document, &tail));
    request->inputs.push_back(std::move(tensor));
  }
  REPRISE_RETURN_IF_ERROR(wire::CheckInputNames(request->inputs));
  return tail.CheckEmpty();
}

// The input that a model cannot do without, or the only one it has; null when that is not clear.
const TensorSpec* OnlyInput(const ModelDescription& model) {
  const TensorSpec* found = nullptr;
  for (const TensorSpec& input : model.inputs) {
    if (input.optional && model.inputs.size() > 1) continue;
    if (found != nullptr) return nullptr;
    found = &input;
  }
  return found;
}

absl::StatusOr<std::vector<std::int64_t>> ShapeForBytes(const TensorSpec& input,
                                                        std::size_t bytes) {
  std::vector<std::int64_t> shape = input.shape;
  if (!shape.empty()) shape[0] = 1;
  std::int64_t row_bytes = static_cast<std::int64_t>(SizeOf(input.datatype));
  std::int64_t* varying = nullptr;
  for (std::int64_t& dim : shape) {
    if (dim >= 0) {
      row_bytes *= dim;
    } else if (varying == nullptr) {
      varying = &dim;
    } else {
      return InvalidInput(input.name, "more than one dimension may vary; send JSON with a shape");
    }
  }
  if (varying != nullptr && row_bytes > 0) {
    *varying = static_cast<std::int64_t>(bytes) / row_bytes;
  } else if (varying != nullptr) {
    *varying = 0;
  }
  return shape;
}

absl::Status DecodeRawBody(std::string body, const ServingCore& core, InferenceRequest* request,
                           ReplyWishes* wishes) {
  REPRISE_ASSIGN_OR_RETURN(const ModelDescription model,
                           core.Describe(request->model_name, request->model_version));
  const TensorSpec* input = OnlyInput(model);
  if (input == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat("a body without JSON is for models with one input, and model '", model.name,
                     "' takes its choice of several; send JSON that names them"));
  }
  wishes->binary_by_default = true;
  const std::string datatype(Name(input->datatype));
  if (input->datatype == DataType::kBytes) {
    REPRISE_ASSIGN_OR_RETURN(TensorLayout layout, wire::ReadLayout(input->name, datatype, {1}));
    std::vector<std::string> element;
    element.push_back(std::move(body));
    REPRISE_ASSIGN_OR_RETURN(Tensor tensor,
                             wire::StoreTexts(std::move(layout), std::move(element)));
    request->inputs.push_back(std::move(tensor));
    return absl::OkStatus();
  }
  REPRISE_ASSIGN_OR_RETURN(std::vector<std::int64_t> shape, ShapeForBytes(*input, body.size()));
  REPRISE_ASSIGN_OR_RETURN(TensorLayout layout,
                           wire::ReadLayout(input->name, datatype, std::move(shape)));
  REPRISE_ASSIGN_OR_RETURN(Tensor tensor, wire::StoreRaw(std::move(layout), std::move(body)));
  request->inputs.push_back(std::move(tensor));
  return absl::OkStatus();
}

}  // namespace

absl::Status DecodeInfer(std::string body, const std::optional<std::string_view>& json_length,
                         const ServingCore& core, InferenceRequest* request, ReplyWishes* wishes) {
  if (!json_length.has_value()) return DecodeJson(body, {}, request, wishes);
  std::size_t length = 0;
  const char* const end = json_length->data() + json_length->size();
  const auto parsed = std::from_chars(json_length->data(), end, length);
  if (parsed.ec != std::errc() || parsed.ptr != end || length > body.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the header Inference-Header-Content-Length is '", std::string(*json_length),
                     "', expected the length of the JSON within the body, 0 to ", body.size()));
  }
  if (length == 0) return DecodeRawBody(std::move(body), core, request, wishes);
  const std::string_view whole = body;
  return DecodeJson(whole.substr(0, length), whole.substr(length), request, wishes);
}

}  // namespace reprise::server::http
