#include "data/scores/bleu.h"

#include <doctest/doctest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "data/scores/chrf.h"
#include "data/scores/mecab.h"
#include "data/scores/ter.h"
#include "data/scores/wer.h"
#include "engine/core/error.h"
#include "engine/core/files.h"
#include "tests/golden.h"

using namespace alinea;
using Lines = std::vector<std::string>;

TEST_CASE("bleu and chrf: equal to sacreBLEU on awkward sentences") {
  const auto cases = nlohmann::json::parse(read_file(golden("bleu.json")));
  REQUIRE(cases.size() >= 30);
  for (const auto& one : cases) {
    const Lines hypotheses = one["hypotheses"];
    const std::vector<Lines> references = one["references"];
    BleuOptions options;
    options.tokenizer = one["options"].value("tokenize", "13a");
    options.lowercase = one["options"].value("lowercase", false);
    options.effective_order = one["options"].value("effective_order", false);
    const BleuScore s = corpus_bleu(hypotheses, references, options);
    CHECK(s.text() == one["text"].get<std::string>());
    CHECK(std::abs(s.score - one["score"].get<double>()) <= 1e-9);
    CHECK(std::abs(corpus_chrf(hypotheses, references).score - one["chrf"].get<double>()) <= 1e-9);
    CHECK(corpus_chrf(hypotheses, references, 2).text() == one["chrf_pp_text"].get<std::string>());
    CHECK(std::abs(corpus_chrf(hypotheses, references, 2).score - one["chrf_pp"].get<double>()) <= 1e-9);
  }
}

TEST_CASE("bleu: one sentence uses the orders that occur; bad calls are refused") {
  CHECK(sentence_bleu("one two", {"one two"}).score == doctest::Approx(100));
  CHECK(corpus_bleu(Lines{"one two"}, std::vector<Lines>{{"one two"}}).score == 0);
  CHECK_THROWS_WITH_AS(corpus_bleu(Lines{"a"}, std::vector<Lines>{{"a", "b"}}),
                       "BLEU: 1 hypotheses but 2 references; every line needs its counterpart", Error);
  CHECK_THROWS_AS(corpus_bleu(Lines{"a"}, std::vector<Lines>{}), Error);
  CHECK_THROWS_WITH_AS(corpus_bleu(Lines{"a"}, std::vector<Lines>{{"a"}}, {.tokenizer = "13b"}),
                       "BLEU: unknown tokenizer \"13b\"; known are 13a none char intl zh ja-mecab", Error);
}

TEST_CASE("error rates: counts by kind, and exact match") {
  const ErrorCounts e = word_errors("the cat sat mat on", "the black cat sat on");
  CHECK(e.errors() == 2);
  CHECK(e.deletions == 1);
  CHECK(e.insertions == 1);
  CHECK(e.rate() == doctest::Approx(40));
  CHECK(word_errors("a x c", "a b c").substitutions == 1);
  CHECK(word_errors("", "a b c").deletions == 3);
  CHECK(word_errors("a b", "").rate() == 100);
  CHECK(character_errors("größe", "grösse").errors() == 2);
  CHECK(character_errors("a  b", "a b").errors() == 0);
  CHECK(word_error_rate(Lines{"a b", "c"}, Lines{"a", "c d e f"}).rate() == doctest::Approx(80));
  CHECK(exact_match(Lines{"a b", "c", "d", "E"}, Lines{"a  b\n", "c", "x", "e"}) == 50);
  CHECK_THROWS_AS(exact_match(Lines{"a"}, Lines{}), Error);
}

TEST_CASE("bleu with every tokenizer, and ter: equal to sacreBLEU") {
  const auto cases = nlohmann::json::parse(read_file(golden("scores.json")));
  for (const auto& one : cases["bleu"]) {
    BleuOptions options;
    options.tokenizer = one["tokenize"], options.lowercase = one["lowercase"];
    if (options.tokenizer == "ja-mecab" && !has_mecab()) {
      CHECK_THROWS_WITH_AS(corpus_bleu(Lines{"a"}, std::vector<Lines>{{"a"}}, options), doctest::Contains("install libmecab-dev"), Error);
      continue;
    }
    CAPTURE(one["name"].get<std::string>());
    const BleuScore s = corpus_bleu(one["hypotheses"].get<Lines>(), one["references"].get<std::vector<Lines>>(), options);
    CHECK(s.text() == one["text"].get<std::string>());
    CHECK(std::abs(s.score - one["score"].get<double>()) <= 1e-9);
  }
  for (const auto& one : cases["ter"]) {
    const TerScore s = corpus_ter(one["hypotheses"].get<Lines>(), one["references"].get<std::vector<Lines>>(), one["case_sensitive"]);
    CHECK(s.text() == one["text"].get<std::string>());
    CHECK(s.edits == one["edits"].get<int64_t>());
    CHECK(std::abs(s.score - one["score"].get<double>()) <= 1e-9);
  }
  CHECK_THROWS_AS(corpus_ter(Lines{"a"}, std::vector<Lines>{}), Error);
}
