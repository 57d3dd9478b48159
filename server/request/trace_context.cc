#include "server/request/trace_context.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <random>
#include <set>

#include "absl/strings/ascii.h"

namespace reprise::server {
namespace {

constexpr std::size_t kTraceIdDigits = 32;
constexpr std::size_t kSpanIdDigits = 16;
// version "-" trace id "-" parent id "-" flags
constexpr std::size_t kTraceParentSize = 2 + 1 + kTraceIdDigits + 1 + kSpanIdDigits + 1 + 2;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsLower(char c) { return c >= 'a' && c <= 'z'; }
bool IsHex(char c) { return IsDigit(c) || (c >= 'a' && c <= 'f'); }

bool IsHex(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return IsHex(c); });
}

bool IsId(std::string_view text) {
  return IsHex(text) && text.find_first_not_of('0') != std::string_view::npos;
}

struct TraceParent {
  std::string_view trace_id;
  std::string_view parent_id;
  bool sampled = false;
};

// A version that is newer than ours may say more behind a further "-"; ff is no version.
std::optional<TraceParent> ParseTraceParent(std::string_view text) {
  if (text.size() < kTraceParentSize) return std::nullopt;
  const std::string_view version = text.substr(0, 2);
  if (!IsHex(version) || version == "ff") return std::nullopt;
  if (text.size() > kTraceParentSize && (version == "00" || text[kTraceParentSize] != '-')) {
    return std::nullopt;
  }
  const std::string_view trace_id = text.substr(3, kTraceIdDigits);
  const std::string_view parent_id = text.substr(4 + kTraceIdDigits, kSpanIdDigits);
  const std::string_view flags = text.substr(5 + kTraceIdDigits + kSpanIdDigits, 2);
  for (const std::size_t dash : {std::size_t{2}, 3 + kTraceIdDigits, kTraceParentSize - 3}) {
    if (text[dash] != '-') return std::nullopt;
  }
  if (!IsId(trace_id) || !IsId(parent_id) || !IsHex(flags)) return std::nullopt;
  const int low = IsDigit(flags[1]) ? flags[1] - '0' : flags[1] - 'a' + 10;
  return TraceParent{trace_id, parent_id, (low & 1) != 0};
}

bool IsKeyPart(std::string_view text, std::size_t longest, bool may_start_with_digit) {
  if (text.empty() || text.size() > longest) return false;
  if (!IsLower(text[0]) && !(may_start_with_digit && IsDigit(text[0]))) return false;
  return std::all_of(text.begin(), text.end(), [](char c) {
    return IsLower(c) || IsDigit(c) || c == '_' || c == '-' || c == '*' || c == '/';
  });
}

// "system", or "tenant@system".
bool IsKey(std::string_view key) {
  const std::size_t at = key.find('@');
  if (at == std::string_view::npos) return IsKeyPart(key, 256, false);
  return IsKeyPart(key.substr(0, at), 241, true) && IsKeyPart(key.substr(at + 1), 14, false);
}

// Printable ASCII without "," and "="; blanks, but not at the end.
bool IsValue(std::string_view value) {
  if (value.empty() || value.size() > 256 || value.back() == ' ') return false;
  return std::all_of(value.begin(), value.end(),
                     [](char c) { return c >= ' ' && c <= '~' && c != ',' && c != '='; });
}

// The list of all headers together, without blanks around its members; empty when it is malformed.
std::string JoinTraceState(std::span<const std::string_view> headers) {
  constexpr std::size_t kMostMembers = 32;
  std::string joined;
  std::set<std::string_view> keys;
  for (std::string_view header : headers) {
    while (true) {
      const std::size_t comma = header.find(',');
      const std::string_view raw = header.substr(0, comma);
      const auto stripped = absl::StripAsciiWhitespace(absl::string_view(raw.data(), raw.size()));
      const std::string_view member(stripped.data(), stripped.size());
      if (!member.empty()) {  // the standard allows empty ones
        const std::size_t equals = member.find('=');
        if (equals == std::string_view::npos || !IsKey(member.substr(0, equals)) ||
            !IsValue(member.substr(equals + 1)) || !keys.insert(member.substr(0, equals)).second ||
            keys.size() > kMostMembers) {
          return "";
        }
        if (!joined.empty()) joined += ',';
        joined += member;
      }
      if (comma == std::string_view::npos) break;
      header.remove_prefix(comma + 1);
    }
  }
  return joined;
}

// Not for secrets: ids need to differ, not to be unforeseeable.
void AppendRandomDigits(std::size_t digits, std::string* text) {
  thread_local std::mt19937_64 random = [] {
    std::random_device device;
    std::seed_seq seed{device(), device(), device(), device()};
    return std::mt19937_64(seed);
  }();
  constexpr char kDigits[] = "0123456789abcdef";
  while (digits > 0) {
    std::uint64_t bits = random();
    for (int i = 0; i < 16 && digits > 0; ++i, --digits, bits >>= 4) *text += kDigits[bits & 15];
  }
}

// All zeros is no id.
std::string NewId(std::size_t digits) {
  std::string id;
  while (!IsId(id)) {
    id.clear();
    AppendRandomDigits(digits, &id);
  }
  return id;
}

}  // namespace

std::string NewSpanId() { return NewId(kSpanIdDigits); }

TraceContext BeginTrace(std::span<const std::string_view> traceparent,
                        std::span<const std::string_view> tracestate) {
  std::optional<TraceParent> parent;
  if (traceparent.size() == 1) parent = ParseTraceParent(traceparent[0]);
  TraceContext trace;
  trace.span_id = NewSpanId();
  if (!parent.has_value()) {
    trace.trace_id = NewId(kTraceIdDigits);
    return trace;
  }
  trace.trace_id = std::string(parent->trace_id);
  trace.parent_span_id = std::string(parent->parent_id);
  trace.caller_samples = parent->sampled;
  trace.trace_state = JoinTraceState(tracestate);
  return trace;
}

}  // namespace reprise::server
