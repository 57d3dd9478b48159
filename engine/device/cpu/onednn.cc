#include "engine/device/cpu/onednn.h"

namespace reprise::engine::device {

const dnnl::engine& OneDnnEngine() {
  static const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

const dnnl::stream& OneDnnThreadStream() {
  static thread_local const dnnl::stream stream(OneDnnEngine());
  return stream;
}

}  // namespace reprise::engine::device
