// The report page: what is embedded can be read back exactly, hostile text stays text, wrong sizes are named.
#include "apps/report/report.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "apps/report/encode.h"
#include "engine/core/error.h"

using namespace alinea;

namespace {

std::string decode(const std::string& text) {
  std::string out;
  uint32_t group = 0;
  int bits = 0;
  for (char c : text) {
    if (c == '=') break;
    const auto at = std::string_view("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/").find(c);
    REQUIRE(at != std::string_view::npos);
    group = group << 6 | static_cast<uint32_t>(at);
    if ((bits += 6) >= 8) out.push_back(static_cast<char>(group >> (bits -= 8) & 0xff));
  }
  return out;
}

nlohmann::json embedded(const std::string& page) {
  const std::string open = "<script type=\"application/json\" id=\"data\">";
  const size_t begin = page.find(open) + open.size();
  REQUIRE(begin >= open.size());
  return nlohmann::json::parse(page.substr(begin, page.find("</script>", begin) - begin));
}

int64_t count(const std::string& page, std::string_view what) {
  int64_t n = 0;
  for (size_t at = page.find(what); at != std::string::npos; at = page.find(what, at + 1)) ++n;
  return n;
}

Report small() {
  StreamedUtterance u;
  u.id = "one";
  u.reference = "hola mundo";
  u.hypothesis = "hola";
  u.source_ms = 30;
  u.audio = {0.0f, 0.5f, -1.0f, 2.0f};
  u.rate = 8000;
  u.frames = 3;
  u.bins = 2;
  u.features = {0, 1, 2, 3, 4, 5};
  u.source_words = {{"hello", 0, 20}};
  u.written = {{"hola", 20, 0.75, "layer 1 head 3 p=0.12"}};
  u.alignments = {{"layer 1 head 1", 1, 3, 10, {0, 0.5f, 0.25f}}, {"layer 1 head 2", 1, 3, 10, {1, 0, 0}}};
  Report r;
  r.title = "Run";
  r.charts = {{"Loss", "step", "nats", {{"training", {1, 2, 3}, {3.5, std::nan(""), 1.25}}}}};
  r.utterances = {u};
  r.points = {{"EMMA", "p > 0.5", 74.5, 80, 1200, std::nan("")}};
  r.heads = {{.name = "layer 1, head 1", .role = "local", .sentence = "one", .rows = 2, .columns = 2, .weights = {1, 0, 0.25f, 0.5f}, .row_names = {"a", "b"}, .column_names = {"a", "b"},
              .band = {{0, 1}, {1, 2}}, .pattern_columns = {1}, .blocks = {{0, 2}}, .residual = {{1, 0}}, .errors = {"Error", "w", "l1", {{"l1", {0, 1}, {0.2, 0}}}}, .facts = {{"W", "0"}}}};
  r.summary = {{"BLEU", "80.0"}};
  r.config_json = R"({"seed": 7})";
  return r;
}

std::string error_of(const Report& r, Exit kind = Exit::data) {
  try {
    render_report(r);
  } catch (const Error& e) {
    CHECK(e.kind() == kind);
    return e.what();
  }
  return "no error";
}

}  // namespace

TEST_CASE("base64 follows the examples of RFC 4648") {
  CHECK(base64("") == "");
  CHECK(base64("f") == "Zg==");
  CHECK(base64("fo") == "Zm8=");
  CHECK(base64("foobar") == "Zm9vYmFy");
  CHECK(decode(base64(std::string("\0\xff\x80", 3))) == std::string("\0\xff\x80", 3));
}

TEST_CASE("a curve is thinned to its extremes, and its ends and gaps stay") {
  Curve curve{"c", {}, {}};
  for (int i = 0; i < 10000; ++i) {
    curve.x.push_back(i);
    curve.y.push_back(i == 5001 ? 50.0 : i == 7003 ? std::nan("") : std::sin(i * 0.001));
  }
  const Curve thinned = thin(curve, 400);
  CHECK(thinned.x.size() <= 403);  // two of every stretch, both ends, and the gap
  CHECK(thinned.x.front() == 0);
  CHECK(thinned.x.back() == 9999);
  CHECK(std::is_sorted(thinned.x.begin(), thinned.x.end()));
  CHECK(std::count(thinned.y.begin(), thinned.y.end(), 50.0) == 1);
  CHECK(std::count(thinned.x.begin(), thinned.x.end(), 7003.0) == 1);
  CHECK(thin(curve, 20000).x == curve.x);
}

TEST_CASE("everything put into the page can be read back from it") {
  const std::string page = render_report(small());
  CHECK(page.starts_with("<!DOCTYPE html>"));
  CHECK(page.find("{{") == std::string::npos);
  const auto data = embedded(page);
  CHECK(data["title"] == "Run");
  CHECK(data["summary"][0][1] == "80.0");
  CHECK(data["config"]["seed"] == 7);
  CHECK(data["environment"].is_null());
  CHECK(data["charts"][0]["curves"][0]["y"][1].is_null());
  CHECK(data["charts"][0]["curves"][0]["y"][2] == 1.25);
  CHECK(data["points"][0]["laal"].is_null());
  const auto& u = data["utterances"][0];
  CHECK(u["written"][0]["held_by"] == "layer 1 head 3 p=0.12");
  CHECK(u["source_words"][0]["end"] == 20);

  const auto& head = data["heads"][0];
  CHECK(decode(head["bytes"]) == std::string("\xff\0\x40\x80", 4));
  CHECK(head["band"] == nlohmann::json{{0, 1}, {1, 2}});
  CHECK(head["residual"] == nlohmann::json::array({nlohmann::json::array({1, 0})}));
  CHECK(head["errors"]["curves"][0]["y"][0] == 0.2);
  CHECK(head["facts"][0][1] == "0");

  const std::string maps = decode(u["alignments"][0]["bytes"]);
  CHECK(maps == std::string("\0\x80\x40", 3));  // one scale for all heads of an utterance: its largest weight is 1
  CHECK(u["alignments"][1]["largest"] == 1);
  const std::string features = decode(u["features"]["bytes"]);
  CHECK(features.size() == 6);
  CHECK(static_cast<uint8_t>(features[5]) == 255);
  CHECK(u["features"]["low"].get<double>() + static_cast<uint8_t>(features[2]) / 255.0 * 5 == doctest::Approx(2).epsilon(0.01));
}

TEST_CASE("the sound is a WAV file of 16-bit samples") {
  const std::string uri = embedded(render_report(small()))["utterances"][0]["audio"], head = "data:audio/wav;base64,";
  REQUIRE(uri.starts_with(head));
  const std::string wav = decode(uri.substr(head.size()));
  auto read = [&](size_t at, int bytes) {
    int64_t v = 0;
    for (int i = bytes - 1; i >= 0; --i) v = v << 8 | static_cast<uint8_t>(wav[at + i]);
    return v;
  };
  REQUIRE(wav.size() == 52);
  CHECK(wav.substr(0, 4) == "RIFF");
  CHECK(read(4, 4) == 44);
  CHECK(read(22, 2) == 1);
  CHECK(read(24, 4) == 8000);
  CHECK(read(28, 4) == 16000);
  CHECK(read(40, 4) == 8);
  CHECK(static_cast<int16_t>(read(46, 2)) == 16384);
  CHECK(static_cast<int16_t>(read(48, 2)) == -32767);
  CHECK(static_cast<int16_t>(read(50, 2)) == 32767);  // louder than full scale: clipped
}

TEST_CASE("no text can leave its place in the page") {
  const std::string attack = "</script><script>alert(1)</script><!--\"'&\\ {{data}}";
  const int64_t scripts = count(render_report(small()), "<script"), ends = count(render_report(small()), "</script");
  Report r = small();
  r.title = attack;
  r.utterances[0].id = r.utterances[0].hypothesis = r.utterances[0].reference = attack;
  r.utterances[0].written[0].text = r.utterances[0].written[0].held_by = attack;
  r.utterances[0].source_words[0].text = r.utterances[0].alignments[0].name = attack;
  r.heads[0].name = r.heads[0].role = r.heads[0].sentence = r.heads[0].row_names[0] = r.heads[0].facts[0].second = attack;
  r.charts[0].title = r.charts[0].curves[0].name = r.points[0].label = r.summary[0].first = r.summary[0].second = attack;
  r.config_json = nlohmann::json{{attack, attack}}.dump();
  const std::string page = render_report(r);
  CHECK(count(page, "<script") == scripts);
  CHECK(count(page, "</script") == ends);
  CHECK(page.find("alert(1)</") == std::string::npos);
  CHECK(page.find("<title>&lt;/script&gt;") != std::string::npos);
  const auto data = embedded(page);
  CHECK(data["title"] == attack);
  CHECK(data["utterances"][0]["written"][0]["text"] == attack);
  CHECK(data["config"][attack] == attack);
}

TEST_CASE("the page loads nothing") {
  const std::string page = render_report(small());
  CHECK(page.find("default-src 'none'") != std::string::npos);
  for (std::string_view mark : {"src=\"http", "href=\"http", "url(", "@import", "fetch(", "XMLHttpRequest", "import("})
    CHECK(count(page, mark) == 0);
}

TEST_CASE("an empty report is a page, too") {
  const auto data = embedded(render_report({}));
  CHECK(data["utterances"].empty());
  CHECK(data["config"].is_null());
}

TEST_CASE("values that do not fit are refused by name") {
  auto refused = [](auto&& spoil, std::string_view place) {
    Report r = small();
    spoil(r);
    const std::string message = error_of(r);
    INFO(message);
    CHECK(message.find(place) != std::string::npos);
  };
  const float nan = std::numeric_limits<float>::quiet_NaN();
  refused([](Report& r) { r.charts[0].curves[0].y.pop_back(); }, "chart 'Loss', curve 'training': 3 x against 2 y");
  refused([](Report& r) { r.charts[0].curves[0].x[1] = 9; }, "x[2] = 3");
  refused([](Report& r) { r.utterances[0].features.pop_back(); }, "utterance 0 ('one'): 5 feature values for 3 frames × 2 bins");
  refused([&](Report& r) { r.utterances[0].features[3] = nan; }, "frame 1, bin 1");
  refused([](Report& r) { r.utterances[0].alignments[1].weights.push_back(0); },
          "alignment 'layer 1 head 2': 4 weights for 1 rows × 3 columns");
  refused([](Report& r) { r.utterances[0].alignments[0].weights[2] = -1; }, "row 0, column 2 is -1");
  refused([](Report& r) { r.utterances[0].alignments[0].ms_per_column = 0; }, "ms_per_column is 0");
  refused([](Report& r) { r.utterances[0].rate = 0; }, "sample rate is 0");
  refused([&](Report& r) { r.utterances[0].audio[1] = nan; }, "sample 1 is nan");
  refused([](Report& r) { r.utterances[0].source_words[0].end_ms = -1; }, "source word 'hello'");
  refused([](Report& r) { r.utterances[0].written[0].at_ms = std::nan(""); }, "written word 'hola'");
  refused([](Report& r) { r.heads[0].weights.pop_back(); }, "head 0 ('layer 1, head 1'): 3 weights for 2 rows × 2 columns");
  refused([&](Report& r) { r.heads[0].weights[2] = nan; }, "row 1, column 0 is nan");
  refused([](Report& r) { r.heads[0].row_names.pop_back(); }, "1 and 2 names");
  refused([](Report& r) { r.heads[0].residual[0].second = 2; }, "lies outside 2 rows × 2 columns");
  refused([](Report& r) { r.points[0].bleu = 101; }, "operating point 'EMMA p > 0.5'");
  refused([](Report& r) { r.config_json = std::string("{"); }, "config_json is not JSON");
  refused([](Report& r) { r.utterances[0].hypothesis = std::string("\xff"); }, "utterance 0: a text is not valid UTF-8");
  refused([](Report& r) { r.title = std::string("\xc3"); }, "title: a text is not valid UTF-8");
}

TEST_CASE("six utterances of six seconds stay below four megabytes") {
  Report r = small();
  StreamedUtterance u = r.utterances[0];
  u.source_ms = 6000;
  u.rate = 16000;
  u.audio.assign(96000, 0.1f);
  u.frames = 600;
  u.bins = 80;
  u.features.assign(48000, 1.0f);
  u.alignments.assign(24, {"head", 20, 60, 100, std::vector<float>(1200, 0.5f)});
  r.utterances.assign(6, u);
  CHECK(render_report(r).size() < 4'000'000);
}
