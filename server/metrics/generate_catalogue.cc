// Build tool: turns metrics.json into C++ constants or into the table of docs/metrics.md.
//
//   generate_catalogue cpp METRICS.JSON OUTPUT.INC   writes the constants
//   generate_catalogue table METRICS.JSON DOC.MD     replaces the table between the page's markers
//   generate_catalogue check METRICS.JSON DOC.MD     fails when the page's table is not that one

#include <cctype>
#include <exception>
#include <fstream>
#include <iostream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "nlohmann/json.hpp"

namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kTableBegin = "<!-- generated from server/metrics/metrics.json -->\n";
constexpr std::string_view kTableEnd = "<!-- end of the generated table -->\n";

std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot open " + path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

void WriteFile(const std::string& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary);
  file << text;
  if (!file.flush()) throw std::runtime_error("cannot write " + path);
}

// "reprise_requests_total" -> "RequestsTotal", "queue_bytes" -> "QueueBytes"
std::string PascalCase(std::string_view name) {
  constexpr std::string_view kPrefix = "reprise_";
  if (name.starts_with(kPrefix)) name.remove_prefix(kPrefix.size());
  std::string result;
  bool upper = true;
  for (const char c : name) {
    if (c == '_') {
      upper = true;
      continue;
    }
    result += upper ? static_cast<char>(std::toupper(static_cast<unsigned char>(c))) : c;
    upper = false;
  }
  return result;
}

// JSON's escapes are a subset of C++'s for the ASCII text that metrics.json holds.
std::string Quoted(const Json& text) { return text.dump(-1, ' ', true); }

std::string LabelName(const std::string& set, const Json& label) {
  return label.value("label", set);
}

void CheckMetric(const Json& metric, const Json& catalogue) {
  const std::string name = metric.at("name").get<std::string>();
  const std::string type = metric.at("type").get<std::string>();
  if (type != "counter" && type != "gauge" && type != "histogram") {
    throw std::runtime_error(name + ": type is '" + type +
                             "', expected counter, gauge or histogram");
  }
  for (const char* key : {"unit", "help", "example"}) {
    if (metric.at(key).get<std::string>().empty()) throw std::runtime_error(name + ": no " + key);
  }
  if (metric.contains("buckets") != (type == "histogram")) {
    throw std::runtime_error(name + ": buckets belong to histograms, and every histogram has some");
  }
  for (const Json& set : metric.at("labels")) {
    if (!catalogue.at("label_sets").contains(set.get<std::string>())) {
      throw std::runtime_error(name + ": label set " + set.dump() + " is not declared");
    }
  }
}

std::string CppConstants(const Json& catalogue) {
  std::ostringstream out;
  out << "// Made from server/metrics/metrics.json by generate_catalogue; edit that file "
         "instead.\n\n";
  for (const auto& [name, edges] : catalogue.at("bucket_sets").items()) {
    out << "inline constexpr double k" << PascalCase(name) << "Buckets[] = {";
    for (const Json& edge : edges) out << edge.dump() << ", ";
    out << "};\n";
  }
  for (const auto& [name, label] : catalogue.at("label_sets").items()) {
    if (!label.contains("values")) continue;
    out << "inline constexpr std::string_view k" << PascalCase(name) << "Values[] = {";
    for (const Json& value : label.at("values")) out << Quoted(value) << ", ";
    out << "};\n";
  }
  for (const Json& metric : catalogue.at("metrics")) {
    const std::string constant = PascalCase(metric.at("name").get<std::string>());
    const std::string type = metric.at("type").get<std::string>();
    const Json& labels = metric.at("labels");
    if (!labels.empty()) {
      out << "inline constexpr LabelDefinition k" << constant << "Labels[] = {";
      for (const Json& entry : labels) {
        const std::string set = entry.get<std::string>();
        const Json& label = catalogue.at("label_sets").at(set);
        out << "{\"" << LabelName(set, label) << "\", ";
        if (label.contains("values")) {
          out << "k" << PascalCase(set) << "Values}, ";
        } else {
          out << "{}}, ";
        }
      }
      out << "};\n";
    }
    out << "inline constexpr MetricDefinition k" << constant << " = {" << Quoted(metric.at("name"))
        << ", MetricType::k" << PascalCase(type) << ", " << Quoted(metric.at("unit")) << ", "
        << Quoted(metric.at("help")) << ", " << (labels.empty() ? "{}" : "k" + constant + "Labels")
        << ", "
        << (metric.contains("buckets")
                ? "k" + PascalCase(metric.at("buckets").get<std::string>()) + "Buckets"
                : "{}")
        << "};\n";
  }
  out << "inline constexpr const MetricDefinition* kCatalogue[] = {\n";
  for (const Json& metric : catalogue.at("metrics")) {
    out << "    &k" << PascalCase(metric.at("name").get<std::string>()) << ",\n";
  }
  out << "};\n";
  return out.str();
}

std::string LabelText(const Json& catalogue, const std::string& set) {
  const Json& label = catalogue.at("label_sets").at(set);
  std::string text = "`" + LabelName(set, label) + "`";
  if (!label.contains("values")) return text;
  text += ": ";
  const char* separator = "";
  for (const Json& value : label.at("values")) {
    text += separator + value.get<std::string>();
    separator = ", ";
  }
  return text;
}

std::string MarkdownTable(const Json& catalogue) {
  std::ostringstream out;
  out << "| metric | type, unit | labels | what it counts | example |\n|---|---|---|---|---|\n";
  for (const Json& metric : catalogue.at("metrics")) {
    out << "| `" << metric.at("name").get<std::string>() << "` | "
        << metric.at("type").get<std::string>() << ", " << metric.at("unit").get<std::string>()
        << " | ";
    const char* separator = "";
    for (const Json& set : metric.at("labels")) {
      out << separator << LabelText(catalogue, set.get<std::string>());
      separator = "; ";
    }
    out << " | " << metric.at("help").get<std::string>() << " | "
        << metric.at("example").get<std::string>() << " |\n";
  }
  out << "\nLabels whose values are not listed above:\n\n";
  for (const auto& [set, label] : catalogue.at("label_sets").items()) {
    if (!label.contains("open")) continue;
    out << "- `" << LabelName(set, label) << "`: " << label.at("open").get<std::string>() << "\n";
  }
  out << "\nHistogram buckets (upper edges; `+Inf` is always added):\n\n";
  for (const auto& [name, edges] : catalogue.at("bucket_sets").items()) {
    out << "- " << name << ":";
    for (const Json& edge : edges) out << " " << edge.dump();
    out << "\n";
  }
  return out.str();
}

std::string ReplaceTable(const std::string& page, const std::string& table) {
  const std::size_t begin = page.find(kTableBegin);
  const std::size_t end = page.find(kTableEnd);
  if (begin == std::string::npos || end == std::string::npos || end < begin) {
    throw std::runtime_error("the page has no pair of lines " + std::string(kTableBegin) + "and " +
                             std::string(kTableEnd));
  }
  return page.substr(0, begin + kTableBegin.size()) + "\n" + table + "\n" + page.substr(end);
}

int Run(const std::string& mode, const std::string& json_path, const std::string& target) {
  const Json catalogue = Json::parse(ReadFile(json_path));
  for (const Json& metric : catalogue.at("metrics")) CheckMetric(metric, catalogue);
  if (mode == "cpp") {
    WriteFile(target, CppConstants(catalogue));
    return 0;
  }
  const std::string page = ReadFile(target);
  const std::string current = ReplaceTable(page, MarkdownTable(catalogue));
  if (mode == "table") {
    if (page != current) WriteFile(target, current);
    return 0;
  }
  if (mode == "check") {
    if (page == current) return 0;
    std::cerr << target << " differs from " << json_path
              << "; build the target metrics_docs to write it again\n";
    return 1;
  }
  throw std::runtime_error("mode is '" + mode + "', expected cpp, table or check");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::cerr << "usage: generate_catalogue cpp|table|check METRICS.JSON OUTPUT\n";
    return 2;
  }
  try {
    return Run(argv[1], argv[2], argv[3]);
  } catch (const std::exception& error) {
    std::cerr << "generate_catalogue: " << argv[2] << ": " << error.what() << "\n";
    return 1;
  }
}
