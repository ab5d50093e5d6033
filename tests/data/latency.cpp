#include "data/scores/latency.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "data/scores/simuleval_log.h"
#include "data/scores/too_early.h"
#include "engine/core/error.h"
#include "engine/core/files.h"
#include "tests/golden.h"

using namespace alinea;
using Times = std::vector<double>;

TEST_CASE("latency: every measure equals SimulEval's, plain and computation-aware") {
  const auto cases = nlohmann::json::parse(read_file(golden("simuleval.json")));
  REQUIRE(cases.size() == 40);
  int compared = 0;
  for (const auto& one : cases) {
    const auto& instance = one["instance"];
    const Times delays = instance["delays"], elapsed = instance["elapsed"];
    const double references = double(reference_length(instance["reference"].get<std::string>(), LatencyUnit::word));
    const auto plain = latency(delays, instance["source_length"], references);
    const auto aware = latency(delays, instance["source_length"], references, elapsed);
    for (const auto& [name, expected] : one["scores"].items()) {
      if (expected.is_null()) continue;
      const bool is_aware = name.ends_with("_CA");
      const std::string base = is_aware ? name.substr(0, name.size() - 3) : name;
      for (const auto& [measure, value] : (is_aware ? aware : plain)->named())
        if (measure == base) {
          CHECK_MESSAGE(std::abs(value - expected.get<double>()) <= 1e-9 * std::max(1.0, std::abs(value)), name);
          ++compared;
        }
    }
  }
  CHECK(compared > 500);
}

TEST_CASE("latency: sentences without words are left out of the mean, impossible input is refused") {
  const std::vector<std::optional<Latency>> all = {latency(Times{1000}, 2000, 1), latency(Times{}, 2000, 1), latency(Times{2000}, 2000, 1)};
  CHECK(!all[1]);
  CHECK(mean_latency(all)->al == 1500);
  CHECK(!mean_latency(std::span(all).subspan(1, 1)));
  CHECK_THROWS_AS(latency(Times{2, 1}, 5, 2), Error);
  CHECK_THROWS_AS(latency(Times{1}, 0, 2), Error);
  CHECK_THROWS_AS(latency(Times{1}, 5, 0), Error);
  CHECK_THROWS_AS(latency(Times{1}, 5, 1, Times{1, 2}), Error);
}

TEST_CASE("latency: text to text, one word late") {
  const Times wait1 = {1, 2, 3, 4};
  CHECK(latency(wait1, 4, 4)->al == 1);
  CHECK(latency(wait1, 4, 4, {}, AtdUnits::text_to_text())->atd == doctest::Approx(1));
}

TEST_CASE("SimulEval's log: written and read back; bad lines are named") {
  const auto folder = std::filesystem::temp_directory_path() / ("alinea_simul_" + std::to_string(::getpid()));
  SimulLog log;
  log.instances = {{0, "ein Haus", {640, 960}, {652.1, 976.7}, "ein Häuschen", {"/a.wav", "samplerate: 16000 Hz"}, 1000.5},
                   {1, "", {}, {}, "leer", {"/b.wav"}, 500}};
  write_simuleval_log(folder, log);
  const SimulLog again = read_simuleval_log(folder);
  REQUIRE(again.instances.size() == 2);
  CHECK(again.source_type == "speech");
  CHECK(again.instances[0].reference == "ein Häuschen");
  CHECK(again.instances[0].source[1] == "samplerate: 16000 Hz");
  CHECK(again.instances[0].source_length == 1000.5);
  CHECK(score_latency(again, LatencyUnit::word, false, {})->al == doctest::Approx((640 + 960 - 500.25) / 2));
  CHECK(score_latency(again, LatencyUnit::word, true, {})->start_offset == doctest::Approx(652.1));
  append_file(folder / "instances.log", "{\"index\": 2}\n");
  CHECK_THROWS_WITH_AS(read_simuleval_log(folder), doctest::Contains("instances.log:3: not an instance"), Error);
  std::filesystem::remove_all(folder);
  CHECK(reference_length("a b c", LatencyUnit::word) == 3);
  CHECK(reference_length(" ein Häus \n", LatencyUnit::character) == 8);
}

TEST_CASE("too early: unit digits before their word, hours before a.m. or p.m.") {
  const std::vector<HeardWord> heard = {
      {"digits/at", 100, 400}, {"digits/10", 450, 800}, {"digits/40", 900, 1300}, {"digits/5", 1400, 1700}, {"digits/p-m", 1800, 2200}};
  const std::vector<std::string> target = {"um", "zwei", "und", "zwanzig", "Uhr", "fünf", "und", "vierzig"};
  const TooEarly good = too_early(heard, target, Times{400, 1800, 1900, 1900, 2000, 2000, 2000, 2000});
  CHECK(good.units == 1);
  CHECK(good.units_too_early == 0);
  CHECK(good.unit_delay_ms() == 300);
  CHECK(good.hours == 1);
  CHECK(good.hours_guessed == 0);
  TooEarly sum = too_early(heard, target, Times{400, 800, 900, 900, 1000, 1390, 2000, 2000});
  CHECK(sum.units_too_early == 1);
  CHECK(sum.hours_guessed == 1);
  sum += good;
  CHECK(sum.units_percent() == 50);
  CHECK(sum.hours_percent() == 50);
  const TooEarly wrong = too_early(heard, std::vector<std::string>{"vierzig"}, Times{100});
  CHECK(wrong.units == 0);
  CHECK(wrong.sentences_left_out == 1);
  const TooEarly ordinal = too_early(std::vector<HeardWord>{{"digits/20", 0, 300}, {"digits/h-3", 300, 600}},
                                     std::vector<std::string>{"drei", "und", "zwanzigste"}, Times{200, 300, 300});
  CHECK(ordinal.units_too_early == 1);
  CHECK(too_early(std::vector<HeardWord>{{"digits/2", 0, 300}, {"digits/7", 300, 600}}, std::vector<std::string>{"zwei", "sieben"},
                  Times{300, 600})
            .sentences_left_out == 0);
}
