#include "server/security/exposure.h"

#include "gtest/gtest.h"

namespace reprise::server::security {
namespace {

TEST(Exposure, LoopbackAddressesCannotBeReachedFromOutside) {
  for (const char* host :
       {"127.0.0.1", "127.8.9.10", "::1", "[::1]", "::ffff:127.0.0.1", "localhost"}) {
    EXPECT_TRUE(IsLoopback(host)) << host;
  }
}

TEST(Exposure, OtherAddressesCan) {
  for (const char* host : {"0.0.0.0", "::", "[::]", "10.0.0.1", "128.0.0.1", "::ffff:10.0.0.1",
                           "2001:db8::1", "", "no-such-host.invalid"}) {
    EXPECT_FALSE(IsLoopback(host)) << host;
  }
}

}  // namespace
}  // namespace reprise::server::security
