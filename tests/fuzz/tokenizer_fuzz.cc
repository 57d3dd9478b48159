#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "engine/check.h"
#include "server/pipeline/tokenizer/tokenizer.h"
#include "tests/fuzz/fuzz_targets.h"

namespace reprise::fuzz {
namespace {

using server::pipeline::Encoding;
using server::pipeline::Tokenizer;

std::string_view Text(std::span<const std::uint8_t> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

void CheckEncoding(const Tokenizer& tokenizer, const Encoding& encoding) {
  REPRISE_CHECK(encoding.ids.size() == encoding.type_ids.size());
  for (const std::int32_t id : encoding.ids) {
    REPRISE_CHECK(id >= 0 && id < tokenizer.vocab_size());
  }
}

// A file that has a path but no place on disk.
class MemoryFile {
 public:
  explicit MemoryFile(std::span<const std::uint8_t> content)
      : descriptor_(memfd_create("tokenizer.json", MFD_CLOEXEC)) {
    REPRISE_CHECK(descriptor_ >= 0);
    REPRISE_CHECK(write(descriptor_, content.data(), content.size()) ==
                  static_cast<ssize_t>(content.size()));
  }
  ~MemoryFile() { close(descriptor_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;

  std::string path() const { return absl::StrCat("/proc/self/fd/", descriptor_); }

 private:
  const int descriptor_;
};

}  // namespace

void FuzzTokenizerText(std::span<const std::uint8_t> input) {
  static const std::unique_ptr<Tokenizer> tokenizer =
      *Tokenizer::FromFile(REPRISE_TEST_DATA_DIR "/tokenizer/tiny_wordpiece.json");
  if (input.empty()) return;
  const std::size_t max_tokens = input[0];
  const std::string_view text = Text(input.subspan(1));
  const auto whole = tokenizer->Encode(text);
  const auto cut = tokenizer->Encode(text, max_tokens);
  if (!whole.ok()) {
    REPRISE_CHECK(!cut.ok());
    return;
  }
  CheckEncoding(*tokenizer, *whole);
  if (!cut.ok()) return;  // the special tokens alone are more
  CheckEncoding(*tokenizer, *cut);
  REPRISE_CHECK(cut->ids.size() <= max_tokens && cut->ids.size() <= whole->ids.size());
}

void FuzzTokenizerFile(std::span<const std::uint8_t> input) {
  const MemoryFile file(input);
  const auto tokenizer = Tokenizer::FromFile(file.path());
  if (!tokenizer.ok()) return;
  const auto encoding = (*tokenizer)->Encode("The caf\xc3\xa9 cat sat on 2 mats.");
  if (encoding.ok()) CheckEncoding(**tokenizer, *encoding);
}

}  // namespace reprise::fuzz
