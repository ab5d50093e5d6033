#include "engine/core/config.h"

#include <doctest/doctest.h>

#include <string>

#include "engine/core/error.h"

using namespace alinea;

namespace {
struct Inner {
  int64_t width = 256;
  float dropout = 0.1f;
  void fields(Config& c) {
    c.field("width", width, "model width");
    c.field("dropout", dropout, "share of zeroed activations");
  }
};
struct Outer {
  Inner model;
  std::string name = "run";
  std::vector<int> sizes = {1, 2};
  std::map<std::string, double> weights = {{"ce", 1.0}};
  std::optional<int64_t> limit;
  bool resume = true;
  void fields(Config& c) {
    c.field("model", model, "the model");
    c.field("name", name, "name of the run");
    c.field("sizes", sizes, "layer sizes");
    c.field("weights", weights, "loss weights");
    c.field("limit", limit, "most steps");
    c.field("resume", resume, "go on where the run stopped");
  }
};
std::string message_of(auto&& action) {
  try {
    action();
  } catch (const Error& e) {
    CHECK(e.kind() == Exit::usage);
    return e.what();
  }
  return "no error";
}
std::string complaint(const std::string& text) {
  return message_of([&] {
    Config c = Config::text(text, "f.json");
    Outer{}.fields(c);
    c.refuse_unread();
  });
}
}  // namespace

TEST_CASE("config: values, comments, defaults and what is written back") {
  Config c = Config::text("// a run\n{\"model\": {\"width\": 512 /* wide */},\n \"weights\": {\"latency\": 0.5}, \"limit\": 7}", "f.json");
  c.set("model.dropout", "0");
  c.assign("name=007");
  c.set("sizes", "[3]");
  Outer o;
  o.fields(c);
  c.refuse_unread();
  CHECK(o.model.width == 512);
  CHECK(o.model.dropout == 0);
  CHECK(o.name == "007");
  CHECK(o.sizes == std::vector<int>{3});
  CHECK(o.weights == std::map<std::string, double>{{"latency", 0.5}});
  CHECK(o.limit == 7);
  CHECK(o.resume);
  Outer again;
  Config written = Config::text(c.dump(), "written");
  again.fields(written);
  CHECK(again.name == "007");
  CHECK(written.dump() == c.dump());
  CHECK(c.dump().find("\"resume\": true") != std::string::npos);
}

TEST_CASE("config: fields with defaults and help; a float is written as short as it reads") {
  auto fields = Config::fields_of(Outer{});
  REQUIRE(fields.size() == 7);
  CHECK(fields[0].name == "model.width");
  CHECK(fields[1].value == "0.1");
  CHECK(fields[1].help == "share of zeroed activations");
  CHECK(fields[3].value == "[1,2]");
  CHECK(fields[5].value == "null");
}

TEST_CASE("config: errors name file, line, key, what was found and what was expected") {
  CHECK(complaint("{\n\"model\": {\n\n\"widht\": 3}}") ==
        "f.json:4: unknown key \"model.widht\"; the nearest known key is \"model.width\"");
  CHECK(complaint("{\n\"dropout\": 3}") == "f.json:2: unknown key \"dropout\"; the nearest known key is \"model.dropout\"");
  CHECK(complaint("{\n\n\"name\": 3}") == "f.json:3: \"name\" is 3, expected text (name of the run)");
  CHECK(complaint("{\"model\": {\"width\":\n 2.5}}") == "f.json:1: \"model.width\" is 2.5, expected whole number (model width)");
  CHECK(complaint("{\"sizes\": [1, 5000000000]}").find("expected list of (32-bit whole number)") != std::string::npos);
  CHECK(complaint("{\"model\": 3}") == "f.json:1: \"model\" is 3, expected an object {...}");
  CHECK(complaint("{\"name\": \"a\",\n\"name\": \"b\"}") == "f.json:2: key \"name\" was already given at f.json:1; keep one of the two");
  CHECK(complaint("{\n\"name\": }").find("f.json:2: not valid JSON") == 0);
  CHECK(complaint("[1]").find("expected an object") != std::string::npos);
  std::string deep, lists = "{\"list\": ";
  for (int i = 0; i < 100000; ++i) deep += "{\"a\":", lists += '[';
  CHECK(complaint(deep) == "f.json:1: nested more than 64 deep");
  CHECK(complaint(lists) == "f.json:1: nested more than 64 deep");
  CHECK(complaint("{\"" + std::string(2000, 'k') + "\": 1}") == "f.json:1: a key of 2000 bytes; at most 1000 are possible");
  CHECK(message_of([] { Config::file("/nonexistent/x.json"); }).find("/nonexistent/x.json") != std::string::npos);
  CHECK(message_of([] { Config().assign("abc"); }).find("name=value") != std::string::npos);
  CHECK(message_of([] {
          Config c = Config::text("{\"name\": \"a\"}", "f");
          c.set("name.x", "1");
        }).find("not an object") != std::string::npos);
}

TEST_CASE("config: ignored keys are no error, objects inside lists survive") {
  Config c = Config::text("{\"architectures\": [{\"a\": {\"b\": [1, {\"c\": 2}]}, \"d\": 3}], \"extra\": {\"x\": 1}}", "f.json");
  c.ignore("architectures");
  c.ignore("extra");
  c.ignore("absent");
  c.refuse_unread();
  CHECK(Config::text(c.dump(), "again").dump() == c.dump());
  CHECK(c.dump().find("\"c\": 2") != std::string::npos);
}
