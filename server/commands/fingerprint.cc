#include "server/commands/fingerprint.h"

#include <openssl/evp.h>

#include <array>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <memory>
#include <span>
#include <string_view>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "engine/check.h"
#include "nlohmann/json.hpp"

namespace reprise::server::commands {
namespace {

class Sha256 {
 public:
  Sha256() { REPRISE_CHECK(EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) == 1); }

  void Add(std::span<const std::byte> bytes) {
    REPRISE_CHECK(EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) == 1);
  }
  // With its length in front, so that what follows cannot be taken for a part of it.
  void AddWhole(std::span<const std::byte> bytes) {
    const std::uint64_t size = bytes.size();
    Add(std::as_bytes(std::span(&size, 1)));
    Add(bytes);
  }
  void AddWhole(std::string_view text) { AddWhole(std::as_bytes(std::span(text))); }

  std::string Finish() {
    std::array<unsigned char, 32> digest;
    REPRISE_CHECK(EVP_DigestFinal_ex(context_.get(), digest.data(), nullptr) == 1);
    return absl::BytesToHexString(
        std::string(reinterpret_cast<const char*>(digest.data()), digest.size()));
  }

 private:
  struct Free {
    void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
  };
  std::unique_ptr<EVP_MD_CTX, Free> context_{EVP_MD_CTX_new()};
};

}  // namespace

std::string FingerprintOf(const engine::architectures::BertConfig& config,
                          const engine::weights::Checkpoint& checkpoint) {
  Sha256 hash;
  hash.AddWhole(engine::architectures::ToJson(config).dump());
  for (const auto& [name, entry] : checkpoint.entries()) {
    hash.AddWhole(name);
    hash.AddWhole(entry.bytes());
    entry.file->Release(*entry.tensor);
  }
  return hash.Finish();
}

std::string FingerprintOf(const TokenizedTexts& texts) {
  Sha256 hash;
  for (const auto& text : texts) hash.AddWhole(std::as_bytes(std::span(text)));
  return hash.Finish();
}

absl::StatusOr<std::string> Sha256OfFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(file), {}};
  if (!file) return absl::NotFoundError(absl::StrCat("cannot read '", path, "'"));
  Sha256 hash;
  hash.Add(std::as_bytes(std::span(bytes)));
  return hash.Finish();
}

}  // namespace reprise::server::commands
