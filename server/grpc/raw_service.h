// Stacks the generated class templates that hand a service's methods over as bytes.
#pragma once

namespace reprise::server::grpc {

// RawService<S::Service, S::WithRawCallbackMethod_A, S::WithRawCallbackMethod_B> is a service whose
// methods A and B receive unparsed bytes through the callback API. With parsed messages gRPC itself
// would answer a malformed one, wrongly (UNIMPLEMENTED) and uncounted.
template <typename Base, template <typename> class... Methods>
struct RawServiceStack {
  using type = Base;
};
template <typename Base, template <typename> class Method, template <typename> class... Methods>
struct RawServiceStack<Base, Method, Methods...> {
  using type = Method<typename RawServiceStack<Base, Methods...>::type>;
};
template <typename Base, template <typename> class... Methods>
using RawService = typename RawServiceStack<Base, Methods...>::type;

}  // namespace reprise::server::grpc
