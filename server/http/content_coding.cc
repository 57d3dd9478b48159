#include "server/http/content_coding.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "engine/check.h"

namespace reprise::server::http {
namespace {

constexpr std::size_t kChunkBytes = std::size_t{64} << 10;
constexpr int kMaxWindowBits = 15;
constexpr int kGzipFraming = 16;  // added to the window bits

absl::string_view View(std::string_view text) { return {text.data(), text.size()}; }

int WindowBits(ContentCoding coding) {
  return coding == ContentCoding::kGzip ? kMaxWindowBits + kGzipFraming : kMaxWindowBits;
}

// zlib counts in 32 bits; longer input is handed over in parts.
void Feed(z_stream& stream, std::string_view& input) {
  const std::size_t part = std::min<std::size_t>(input.size(), std::numeric_limits<uInt>::max());
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(input.data()));
  stream.avail_in = static_cast<uInt>(part);
  input.remove_prefix(part);
}

class Inflater {
 public:
  explicit Inflater(ContentCoding coding) {
    REPRISE_CHECK(inflateInit2(&stream_, WindowBits(coding)) == Z_OK);
  }
  ~Inflater() { inflateEnd(&stream_); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  z_stream& stream() { return stream_; }

 private:
  z_stream stream_{};
};

}  // namespace

std::string_view Name(ContentCoding coding) {
  switch (coding) {
    case ContentCoding::kIdentity:
      return "identity";
    case ContentCoding::kGzip:
      return "gzip";
    case ContentCoding::kDeflate:
      return "deflate";
  }
  return "identity";
}

std::optional<ContentCoding> ParseContentEncoding(std::string_view header) {
  const absl::string_view coding = absl::StripAsciiWhitespace(View(header));
  if (coding.empty() || absl::EqualsIgnoreCase(coding, "identity")) return ContentCoding::kIdentity;
  if (absl::EqualsIgnoreCase(coding, "gzip") || absl::EqualsIgnoreCase(coding, "x-gzip")) {
    return ContentCoding::kGzip;
  }
  if (absl::EqualsIgnoreCase(coding, "deflate")) return ContentCoding::kDeflate;
  return std::nullopt;
}

ContentCoding ChooseCoding(std::string_view accept_encoding) {
  double gzip = 0;
  double deflate = 0;
  for (const absl::string_view item : absl::StrSplit(View(accept_encoding), ',')) {
    const std::pair<absl::string_view, absl::string_view> parts =
        absl::StrSplit(item, absl::MaxSplits(';', 1));
    double weight = 1;
    absl::string_view q = absl::StripAsciiWhitespace(parts.second);
    if (absl::StartsWithIgnoreCase(q, "q=") && !absl::SimpleAtod(q.substr(2), &weight)) weight = 0;
    const absl::string_view name = absl::StripAsciiWhitespace(parts.first);
    if (absl::EqualsIgnoreCase(name, "gzip")) gzip = weight;
    if (absl::EqualsIgnoreCase(name, "deflate")) deflate = weight;
  }
  if (!(gzip > 0) && !(deflate > 0)) return ContentCoding::kIdentity;
  return gzip >= deflate ? ContentCoding::kGzip : ContentCoding::kDeflate;
}

absl::StatusOr<std::string> Inflate(std::string_view body, ContentCoding coding,
                                    const std::function<absl::Status(std::int64_t bytes)>& grow) {
  const auto damaged = [coding](std::string_view how) {
    return absl::InvalidArgumentError(
        absl::StrCat("the body is not valid ", std::string(Name(coding)), ": ", std::string(how)));
  };
  Inflater inflater(coding);
  z_stream& stream = inflater.stream();
  std::string inflated;
  std::array<char, kChunkBytes> chunk;
  while (true) {
    if (stream.avail_in == 0) Feed(stream, body);
    stream.next_out = reinterpret_cast<Bytef*>(chunk.data());
    stream.avail_out = static_cast<uInt>(chunk.size());
    const int result = inflate(&stream, Z_NO_FLUSH);
    const std::size_t made = chunk.size() - stream.avail_out;
    if (made > 0) {
      REPRISE_RETURN_IF_ERROR(grow(static_cast<std::int64_t>(made)));
      inflated.append(chunk.data(), made);
    }
    const bool all_read = stream.avail_in == 0 && body.empty();
    if (result == Z_STREAM_END) {
      if (all_read) return inflated;
      // A gzip body may be several compressed parts in a row.
      if (coding != ContentCoding::kGzip) return damaged("bytes follow its end");
      REPRISE_CHECK(inflateReset(&stream) == Z_OK);
      continue;
    }
    if (result == Z_BUF_ERROR || (result == Z_OK && all_read && stream.avail_out > 0)) {
      return damaged("it is cut off");
    }
    if (result != Z_OK) return damaged(stream.msg != nullptr ? stream.msg : "unknown data");
  }
}

std::string Deflate(const std::vector<std::string>& pieces, ContentCoding coding) {
  z_stream stream{};
  constexpr int kMemoryLevel = 8;  // zlib's default
  REPRISE_CHECK(deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, WindowBits(coding), kMemoryLevel,
                             Z_DEFAULT_STRATEGY) == Z_OK);
  std::string deflated;
  std::array<char, kChunkBytes> chunk;
  const auto run = [&](int flush) {
    do {
      stream.next_out = reinterpret_cast<Bytef*>(chunk.data());
      stream.avail_out = static_cast<uInt>(chunk.size());
      (void)deflate(&stream, flush);
      deflated.append(chunk.data(), chunk.size() - stream.avail_out);
    } while (stream.avail_out == 0);
  };
  for (const std::string& piece : pieces) {
    std::string_view left = piece;
    while (!left.empty()) {
      Feed(stream, left);
      run(Z_NO_FLUSH);
    }
  }
  stream.avail_in = 0;
  run(Z_FINISH);
  deflateEnd(&stream);
  return deflated;
}

}  // namespace reprise::server::http
