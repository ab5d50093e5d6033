#include "data/recipes/text.h"

#include <doctest/doctest.h>
#include <zlib.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "data/batches.h"
#include "data/check.h"
#include "data/text_dataset.h"
#include "data/tokenizers/subword_tokenizer.h"
#include "tests/data/temporary.h"

using namespace alinea;

namespace {

void write(const std::string& path, const std::string& text) { std::ofstream(path) << text; }

void write_compressed(const std::string& path, const std::string& text) {
  gzFile file = gzopen(path.c_str(), "wb");
  gzwrite(file, text.data(), unsigned(text.size()));
  gzclose(file);
}

// 40 pairs of little sentences.
std::string sentences(const char* who, const char* what) {
  std::string text;
  const char* names[] = {"Anna", "Boris", "Clara", "Zoë"};
  for (int i = 0; i < 40; ++i) text += std::string(names[i % 4]) + " " + who + " " + what + " " + std::to_string(i) + ".\n";
  return text;
}

TextOptions options(const TemporaryFolder& f) {
  write(f / "a.en", sentences("sees", "house"));
  write(f / "a.de", sentences("sieht", "Haus"));
  TextOptions o;
  o.source = f / "a.en", o.target = f / "a.de", o.out = f / "out";
  o.subwords.vocabulary = 60;
  return o;
}

}  // namespace

TEST_CASE("the text recipe holds out the last lines, keeps the texts and counts sentences") {
  for (const bool joint : {false, true}) {
    TemporaryFolder f;
    TextOptions o = options(f);
    o.joint = joint;
    const TextSummary s = prepare_text(o);
    CHECK(s.train == 36);
    CHECK(s.dev == 2);
    CHECK(s.test == 2);
    CHECK(s.source_pieces == 60);
    CHECK(s.target_pieces == 60);
    const TextDataset train = TextDataset::open(f / "out", "train"), dev = TextDataset::open(f / "out", "dev"),
                      test = TextDataset::open(f / "out", "test");
    CHECK(dynamic_cast<const SubwordTokenizer&>(train.tokenizer()).subwords().joint == joint);
    CHECK(train.row(0).src_text == "Anna sees house 0.");
    CHECK(dev.row(1).tgt_text == "Boris sieht Haus 37.");
    CHECK(test.row(1).src_text == "Zoë sees house 39.");
    CHECK(test.row(1).src_lang == "en");
    const SentenceCounts counts = SentenceCounts::load(f / "out/vocab.src.tsv");
    CHECK(counts.sentences == 36);
    REQUIRE(int64_t(counts.of.size()) == train.tokenizer().size(Side::source));
    std::vector<int64_t> expected(counts.of.size(), 0);
    for (int64_t i = 0; i < train.size(); ++i)
      for (size_t id = 0; id < expected.size(); ++id)
        expected[id] += std::count(train.source(i).begin(), train.source(i).end() - 1, int32_t(id)) > 0;   // the last is </s>
    CHECK(counts.of == expected);
    CHECK(train.lengths()[5] == int64_t(std::max(train.source(5).size(), train.labels(5).size())));
  }
}

TEST_CASE("texts come back from their pieces, bpe and unigram, and a second training gives the same model") {
  TemporaryFolder f;
  TextOptions o = options(f);
  for (const char* model : {"bpe", "unigram"}) {
    const auto lines = read_sentences(o.source);
    const SubwordTraining training{.model = model, .vocabulary = 32};
    const Subwords a = train_subwords(lines, training, "test"), b = train_subwords(lines, training, "test");
    a.save(f / "a.model"), b.save(f / "b.model");
    const Subwords loaded = Subwords::load(f / "a.model");
    for (const std::string& line : lines) {
      CHECK(loaded.decode(loaded.encode(line)) == line);
      CHECK(b.encode(line) == loaded.encode(line));
    }
    CHECK(loaded.size() == 32);
    CHECK(loaded.piece(0) == "<pad>");
    CHECK(loaded.piece(1) == "</s>");
    CHECK(loaded.encode("Ж").back() == Subwords::unknown);
  }
}

TEST_CASE("alinea data check reads a text corpus and finds what does not belong together") {
  TemporaryFolder f;
  prepare_text(options(f));
  const DataReport good = check_data(f / "out");
  CHECK(good.ok());
  REQUIRE(good.splits.size() == 3);
  CHECK(good.splits[0].utterances == 36);
  std::filesystem::copy_file(f / "out/dev.tsv", f / "out/test.tsv", std::filesystem::copy_options::overwrite_existing);
  CHECK(check_data(f / "out").problems.size() == 2);
}

TEST_CASE("compressed files and files for dev and test are read; tabs become spaces and are counted") {
  TemporaryFolder f;
  TextOptions o = options(f);
  write_compressed(f / "a.en.gz", sentences("sees", "house"));
  o.source = f / "a.en.gz";
  write(f / "d.en", "Anna sees house 0.\nOne\ttab.\r\n"), write(f / "d.de", "Eins.\nZwei.");
  o.dev_source = o.test_source = f / "d.en", o.dev_target = o.test_target = f / "d.de";
  const TextSummary s = prepare_text(o);
  CHECK(s.train == 40);
  CHECK(s.dev == 2);
  CHECK(s.tabs == 2);
  CHECK(s.known == 2);
  CHECK(TextDataset::open(f / "out", "dev").row(1).src_text == "One tab.");
}

TEST_CASE("what is wrong with text files is named with file and line") {
  TemporaryFolder f;
  TextOptions o = options(f);
  const auto refused = [&](const std::string& source, const std::string& words) {
    write(f / "bad.en", source);
    TextOptions bad = o;
    bad.source = f / "bad.en";
    const std::string message = data_error([&] { prepare_text(bad); });
    CAPTURE(message);
    CHECK(message.find(words) != std::string::npos);
    CHECK(message.find("bad.en") != std::string::npos);
    CHECK(!std::filesystem::exists(f / "out"));
  };
  refused("one line\n", "has 1 lines");
  refused("", "is empty");
  refused(sentences("sees", "house").replace(40, 1, "\xff"), "line 3 is not UTF-8");
  std::string blank = sentences("sees", "house");
  blank.replace(0, blank.find('\n'), "  ");
  refused(blank, "line 1 is empty");
  o.subwords.vocabulary = 5000;
  CHECK(data_error([&] { prepare_text(o); }).find("too high (5000)") != std::string::npos);
  o.subwords.vocabulary = 5;
  CHECK(data_error([&] { prepare_text(o); }).find("vocabulary of 5") != std::string::npos);
  o.source = f / "absent.en";
  CHECK(data_error([&] { prepare_text(o); }).find("cannot be opened") != std::string::npos);
  o = options(f);
  o.dev_source = f / "a.en";
  CHECK(error_of(Exit::usage, [&] { prepare_text(o); }).find("belong together") != std::string::npos);
}

TEST_CASE("the order of batches: any batch can be asked for first, every epoch has each example once") {
  std::vector<int64_t> lengths;
  for (int64_t i = 0; i < 97; ++i) lengths.push_back(3 + i * 7 % 31);
  for (const BatchSize size : {BatchSize{.sentences = 1}, BatchSize{.tokens = 100}}) {
    BatchOrder all(lengths, size, RandomKey{3}), late(lengths, size, RandomKey{3});
    const int64_t n = all.per_epoch();
    std::vector<std::vector<int64_t>> seen;
    for (int64_t i = 0; i < 3 * n; ++i) seen.push_back(all.batch(i));
    CHECK(late.batch(2 * n + 1) == seen[size_t(2 * n + 1)]);
    CHECK(late.batch(1) == seen[1]);
    std::vector<int> times(lengths.size(), 0);
    for (int64_t i = n; i < 2 * n; ++i)
      for (const int64_t e : seen[size_t(i)]) ++times[size_t(e)];
    CHECK(times == std::vector<int>(lengths.size(), 1));
    CHECK(std::vector(seen.begin(), seen.begin() + n) != std::vector(seen.begin() + n, seen.begin() + 2 * n));
  }
}
