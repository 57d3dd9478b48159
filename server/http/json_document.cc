#include "server/http/json_document.h"

#include <limits>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/check.h"
#include "engine/weights/json_file.h"

namespace reprise::server::http {
namespace {

using Json = nlohmann::json;
using Kind = JsonElements::Kind;

constexpr std::size_t kMaxDepth = 100;
// A value of a document takes up to fifty times the bytes of its text.
constexpr std::size_t kMaxValues = 100'000;

// Fills one JsonElements from the parser's events between the list's brackets.
class ListBuilder {
 public:
  explicit ListBuilder(JsonElements* list) : list_(list) { Open(); }

  std::size_t depth() const { return counts_.size(); }

  void Open() {
    if (!counts_.empty()) ++counts_.back();
    counts_.push_back(0);
    if (list_->lengths.size() < counts_.size()) list_->lengths.push_back(-1);
  }
  // True when that was the outermost bracket.
  bool Close() {
    std::int64_t& length = list_->lengths[counts_.size() - 1];
    if (length >= 0 && length != counts_.back()) list_->uneven = true;
    length = counts_.back();
    counts_.pop_back();
    return counts_.empty();
  }

  // False when the list holds another kind already.
  bool AddBool(bool value) {
    if (!Become(Kind::kBools)) return false;
    list_->integers.push_back(value ? 1 : 0);
    return true;
  }
  bool AddInteger(std::int64_t value) {
    negative_ |= value < 0;
    if (list_->kind == Kind::kReals || (value < 0 && list_->above_int64)) {
      return AddReal(static_cast<double>(value));
    }
    if (!Become(Kind::kIntegers)) return false;
    list_->integers.push_back(value);
    return true;
  }
  bool AddUnsigned(std::uint64_t value) {
    const bool above = value > std::uint64_t{std::numeric_limits<std::int64_t>::max()};
    if (list_->kind == Kind::kReals || (above && negative_)) {
      return AddReal(static_cast<double>(value));
    }
    if (!Become(Kind::kIntegers)) return false;
    list_->above_int64 |= above;
    list_->integers.push_back(static_cast<std::int64_t>(value));
    return true;
  }
  bool AddReal(double value) {
    if (list_->kind == Kind::kIntegers) IntegersBecomeReals(list_);
    if (!Become(Kind::kReals)) return false;
    list_->reals.push_back(value);
    return true;
  }
  bool AddText(std::string value) {
    if (!Become(Kind::kTexts)) return false;
    list_->texts.push_back(std::move(value));
    return true;
  }

 private:
  bool Become(Kind kind) {
    ++counts_.back();
    if (element_depth_ == 0) element_depth_ = counts_.size();
    if (element_depth_ != counts_.size()) list_->uneven = true;
    if (list_->kind == Kind::kNone) list_->kind = kind;
    return list_->kind == kind;
  }
  JsonElements* list_;
  std::vector<std::int64_t> counts_;  // children so far of the arrays that are open
  std::size_t element_depth_ = 0;     // of the first element; 0 before it
  bool negative_ = false;             // an integer below 0 was among them
};

// Makes a document of the parser's events; false ends the parsing with `status`.
class DocumentBuilder : public nlohmann::json_sax<Json> {
 public:
  explicit DocumentBuilder(DataLists data_lists) : lift_(data_lists == DataLists::kLift) {}

  absl::StatusOr<JsonDocument> Take(bool parsed) && {
    if (!parsed) return std::move(status_);
    return std::move(document_);
  }

  bool null() override { return list_ ? Mixed("null") : Insert(nullptr) != nullptr; }
  bool boolean(bool value) override {
    if (list_) return list_->AddBool(value) || Mixed("true or false");
    return Insert(value) != nullptr;
  }
  bool number_integer(std::int64_t value) override {
    if (list_) return list_->AddInteger(value) || Mixed("a number");
    return Insert(value) != nullptr;
  }
  bool number_unsigned(std::uint64_t value) override {
    if (list_) return list_->AddUnsigned(value) || Mixed("a number");
    return Insert(value) != nullptr;
  }
  bool number_float(double value, const std::string&) override {
    if (list_) return list_->AddReal(value) || Mixed("a number");
    return Insert(value) != nullptr;
  }
  bool string(std::string& value) override {
    if (list_) return list_->AddText(std::move(value)) || Mixed("a string");
    return Insert(std::move(value)) != nullptr;
  }
  bool binary(Json::binary_t&) override { return Refuse("the body holds binary JSON"); }

  bool start_object(std::size_t) override {
    return list_ ? Mixed("an object") : Open(Json::object());
  }
  bool end_object() override {
    open_.pop_back();
    return true;
  }
  bool start_array(std::size_t) override {
    if (list_) {
      if (open_.size() + list_->depth() >= kMaxDepth) return TooDeep();
      list_->Open();
      return true;
    }
    if (AtDataOfAnInput()) {
      if (Insert(document_.elements.size()) == nullptr) return false;
      list_.emplace(&document_.elements.emplace_back());
      return true;
    }
    return Open(Json::array());
  }
  bool end_array() override {
    if (!list_) {
      open_.pop_back();
    } else if (list_->Close()) {
      list_.reset();
    }
    return true;
  }
  bool key(std::string& key) override {
    Json& object = *open_.back();
    if (object.contains(key)) {
      return Refuse(absl::StrCat("the key '", key, "' is there twice in one object; keep one"));
    }
    key_ = key;
    slot_ = &object[std::move(key)];
    return true;
  }
  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::detail::exception& error) override {
    const bool out_of_range =
        dynamic_cast<const nlohmann::detail::out_of_range*>(&error) != nullptr;
    return Refuse(out_of_range ? std::string("a number is out of range")
                               : absl::StrCat("it is not valid JSON: error at byte ", position));
  }

 private:
  bool AtDataOfAnInput() const {
    return lift_ && open_.size() == 3 && open_[1] == inputs_ && open_[2]->is_object() &&
           key_ == "data";
  }
  // Where the value now is; null when there are too many.
  Json* Insert(Json value) {
    if (++values_ > kMaxValues) {
      Refuse(absl::StrCat("it has more than ", kMaxValues, " values outside of tensor data"));
      return nullptr;
    }
    if (open_.empty()) {
      document_.root = std::move(value);
      return &document_.root;
    }
    if (open_.back()->is_array()) {
      open_.back()->push_back(std::move(value));
      return &open_.back()->back();
    }
    *slot_ = std::move(value);
    return slot_;
  }
  bool Open(Json container) {
    if (open_.size() >= kMaxDepth) return TooDeep();
    const bool inputs = open_.size() == 1 && open_[0]->is_object() && key_ == "inputs";
    Json* inserted = Insert(std::move(container));
    if (inserted == nullptr) return false;
    if (inputs) inputs_ = inserted;
    open_.push_back(inserted);
    return true;
  }
  bool Refuse(std::string_view complaint) {
    if (status_.ok()) {
      status_ = absl::InvalidArgumentError(
          absl::StrCat("cannot read the JSON of the request: ", std::string(complaint)));
    }
    return false;
  }
  bool TooDeep() { return Refuse(absl::StrCat("it is nested deeper than ", kMaxDepth, " levels")); }
  bool Mixed(std::string_view found) {
    return Refuse(absl::StrCat("found ", std::string(found),
                               " in a `data` array; expected numbers, strings or booleans, all of "
                               "one kind"));
  }

  const bool lift_;
  JsonDocument document_;
  absl::Status status_;
  std::vector<Json*> open_;  // containers that are not closed, the outermost first
  std::string key_;          // the last one read
  Json* slot_ = nullptr;     // where its value goes
  const Json* inputs_ = nullptr;
  std::size_t values_ = 0;
  std::optional<ListBuilder> list_;  // while inside a lifted list
};

}  // namespace

void IntegersBecomeReals(JsonElements* elements) {
  elements->reals.reserve(elements->integers.size());
  for (const std::int64_t value : elements->integers) {
    elements->reals.push_back(elements->above_int64
                                  ? static_cast<double>(static_cast<std::uint64_t>(value))
                                  : static_cast<double>(value));
  }
  elements->integers = {};
  elements->above_int64 = false;
  elements->kind = Kind::kReals;
}

absl::StatusOr<JsonDocument> ParseJson(std::string_view text, DataLists data_lists) {
  DocumentBuilder builder(data_lists);
  const bool parsed = Json::sax_parse(text.begin(), text.end(), &builder);
  return std::move(builder).Take(parsed);
}

absl::StatusOr<nlohmann::json> ReadObject(std::string_view body) {
  if (body.empty()) return nlohmann::json::object();
  REPRISE_ASSIGN_OR_RETURN(JsonDocument document, ParseJson(body, DataLists::kKeep));
  if (!document.root.is_object()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the request: found ", engine::weights::JsonText(document.root), ", expected an object"));
  }
  return std::move(document.root);
}

}  // namespace reprise::server::http
