#include "server/request/observer_list.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace reprise::server {
namespace {

// Writes down which events it heard.
class Listener final : public Observer {
 public:
  explicit Listener(std::string name, std::vector<std::string>* heard)
      : name_(std::move(name)), heard_(heard) {}

  void OnRpcFinished(const RpcOutcome&) override { Heard("rpc"); }
  void OnInferenceFinished(const InferenceOutcome&) override { Heard("inference"); }
  void OnBatchFinished(const BatchOutcome&) override { Heard("batch"); }
  void OnSequence(std::string_view, std::string_view, std::int64_t) override { Heard("sequence"); }
  void OnQueueDepth(std::string_view, std::string_view, const QueueDepth&) override {
    Heard("depth");
  }
  void OnInflight(std::string_view, std::string_view, std::int64_t) override { Heard("inflight"); }
  void OnModelState(std::string_view, std::string_view, ModelState, std::string_view) override {
    Heard("state");
  }
  void OnModelReady(const ModelDescription&, std::chrono::nanoseconds) override { Heard("ready"); }
  void OnModelUnloaded(std::string_view, std::string_view) override { Heard("unloaded"); }
  void OnGoldenMismatch(std::string_view, std::string_view) override { Heard("mismatch"); }
  void OnCertificate(std::chrono::system_clock::time_point) override { Heard("certificate"); }
  void OnDraining() override { Heard("draining"); }
  void OnSpans(SpanFate, std::int64_t, std::string_view) override { Heard("spans"); }

 private:
  void Heard(const char* event) { heard_->push_back(name_ + " " + event); }

  const std::string name_;
  std::vector<std::string>* const heard_;
};

void ReportEverything(Observer& observer) {
  observer.OnRpcFinished({});
  observer.OnInferenceFinished({});
  observer.OnBatchFinished({});
  observer.OnSequence("m", "1", 1);
  observer.OnQueueDepth("m", "1", {});
  observer.OnInflight("m", "1", 1);
  observer.OnModelState("m", "1", ModelState::kReady, "");
  observer.OnModelReady({}, {});
  observer.OnModelUnloaded("m", "1");
  observer.OnGoldenMismatch("m", "1");
  observer.OnCertificate({});
  observer.OnDraining();
  observer.OnSpans(SpanFate::kWritten, 1, "");
}

TEST(ObserverList, EveryListenerHearsEveryEventInOrder) {
  std::vector<std::string> heard;
  Listener first("first", &heard);
  Listener second("second", &heard);
  ObserverList list({&first, nullptr, &second});
  ReportEverything(list);
  std::vector<std::string> expected;
  for (const char* event : {"rpc", "inference", "batch", "sequence", "depth", "inflight", "state",
                            "ready", "unloaded", "mismatch", "certificate", "draining", "spans"}) {
    expected.push_back(std::string("first ") + event);
    expected.push_back(std::string("second ") + event);
  }
  EXPECT_EQ(heard, expected);
}

TEST(ObserverList, NobodyNeedsToListen) {
  ObserverList list({});
  ReportEverything(list);
  Observer deaf;
  ReportEverything(deaf);
}

}  // namespace
}  // namespace reprise::server
