// The function between the two dense layers of a feed-forward sublayer.
#pragma once

namespace reprise::engine::architectures {

enum class Activation { kGeluErf, kGeluTanh, kRelu };

}  // namespace reprise::engine::architectures
