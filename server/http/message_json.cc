#include "server/http/message_json.h"

#include <map>
#include <string>
#include <utility>

#include "google/protobuf/descriptor.h"
#include "server/http/message_json.h"

namespace reprise::server::http {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using Json = nlohmann::ordered_json;

// The value of a field that is not repeated, or (`index` >= 0) one of a repeated field.
Json ValueOf(const Message& message, const FieldDescriptor& field, int index = -1) {
  const google::protobuf::Reflection& reflection = *message.GetReflection();
  const bool one = index < 0;
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_BOOL:
      return one ? reflection.GetBool(message, &field)
                 : reflection.GetRepeatedBool(message, &field, index);
    case FieldDescriptor::CPPTYPE_INT32:
      return one ? reflection.GetInt32(message, &field)
                 : reflection.GetRepeatedInt32(message, &field, index);
    case FieldDescriptor::CPPTYPE_INT64:
      return one ? reflection.GetInt64(message, &field)
                 : reflection.GetRepeatedInt64(message, &field, index);
    case FieldDescriptor::CPPTYPE_UINT32:
      return one ? reflection.GetUInt32(message, &field)
                 : reflection.GetRepeatedUInt32(message, &field, index);
    case FieldDescriptor::CPPTYPE_UINT64:
      return one ? reflection.GetUInt64(message, &field)
                 : reflection.GetRepeatedUInt64(message, &field, index);
    case FieldDescriptor::CPPTYPE_FLOAT:
      return one ? reflection.GetFloat(message, &field)
                 : reflection.GetRepeatedFloat(message, &field, index);
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return one ? reflection.GetDouble(message, &field)
                 : reflection.GetRepeatedDouble(message, &field, index);
    case FieldDescriptor::CPPTYPE_ENUM:
      return one ? reflection.GetEnum(message, &field)->name()
                 : reflection.GetRepeatedEnum(message, &field, index)->name();
    case FieldDescriptor::CPPTYPE_STRING:
      return one ? reflection.GetString(message, &field)
                 : reflection.GetRepeatedString(message, &field, index);
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return ToJson(one ? reflection.GetMessage(message, &field)
                        : reflection.GetRepeatedMessage(message, &field, index));
  }
  return nullptr;
}

// A map is a repeated message of `key` and `value`.
Json MapOf(const Message& message, const FieldDescriptor& field) {
  const FieldDescriptor& key = *field.message_type()->map_key();
  const FieldDescriptor& value = *field.message_type()->map_value();
  // Sorted: the order of protobuf's maps differs from run to run.
  std::map<std::string, Json> sorted;
  for (int i = 0; i < message.GetReflection()->FieldSize(message, &field); ++i) {
    const Message& entry = message.GetReflection()->GetRepeatedMessage(message, &field, i);
    const Json name = ValueOf(entry, key);
    sorted[name.is_string() ? name.get<std::string>() : name.dump()] = ValueOf(entry, value);
  }
  Json object = Json::object();
  for (auto& [name, json] : sorted) object[name] = std::move(json);
  return object;
}

Json ListOf(const Message& message, const FieldDescriptor& field) {
  Json list = Json::array();
  for (int i = 0; i < message.GetReflection()->FieldSize(message, &field); ++i) {
    list.push_back(ValueOf(message, field, i));
  }
  return list;
}

}  // namespace

Json ToJson(const Message& message) {
  Json object = Json::object();
  for (int i = 0; i < message.GetDescriptor()->field_count(); ++i) {
    const FieldDescriptor& field = *message.GetDescriptor()->field(i);
    const std::string& name = field.name();
    if (field.is_map()) {
      object[name] = MapOf(message, field);
    } else if (field.is_repeated()) {
      object[name] = ListOf(message, field);
    } else if (!field.has_presence() || message.GetReflection()->HasField(message, &field)) {
      object[name] = ValueOf(message, field);
    }
  }
  return object;
}

}  // namespace reprise::server::http
