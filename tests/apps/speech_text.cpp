// Tokenizers and speech recognition through the program.
#include <doctest/doctest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "data/audio.h"
#include "tests/apps/program.h"
#include "tests/golden.h"

using namespace alinea;
using nlohmann::json;

namespace {

std::string quoted(const std::string& text) { return "'" + text + "'"; }

// A small random model with a vocabulary and settings beside it.
void make_recognizer(const Folder& folder) {
  for (const char* name : {"config.json", "model.safetensors"}) write_atomically(folder / name, read_file(golden(std::string("hf/w2v2_base/") + name)));
  json vocabulary = {{"<pad>", 0}, {"<s>", 1}, {"</s>", 2}, {"<unk>", 3}, {"|", 4}};
  for (int i = 0; i < 15; ++i) vocabulary[std::string(1, char('A' + i))] = 5 + i;
  write_atomically(folder / "vocab.json", vocabulary.dump());
  write_atomically(folder / "tokenizer_config.json", R"({"tokenizer_class": "Wav2Vec2CTCTokenizer", "do_lower_case": true})");
  write_atomically(folder / "preprocessor_config.json", R"({"feature_extractor_type": "Wav2Vec2FeatureExtractor", "do_normalize": true})");
}

Audio chirp(int rate, double seconds) {
  Audio a{std::vector<float>(size_t(rate * seconds)), rate};
  for (size_t i = 0; i < a.samples.size(); ++i) {
    const double t = double(i) / rate;
    a.samples[i] = float(0.3 * std::sin(2 * M_PI * (200 + 900 * t) * t) * (0.5 + 0.5 * std::sin(20 * t)));
  }
  return a;
}

}  // namespace

TEST_CASE("tokenizer: text, ids and pieces through the program") {
  const Folder folder;
  const std::string mbart = quoted(golden("hf/mbart_tokenizer"));
  CHECK(alinea_program(folder, "tokenizer encode " + mbart + " --src en_XX 'A man is riding a bike.'").out == "17 50 56 448 22 8 654 5 2 804\n");
  CHECK(alinea_program(folder, "tokenizer encode " + mbart + " --plain --pieces", "A man.\n\nA man.\n").out == "▁A ▁man .\n\n▁A ▁man .\n");
  CHECK(alinea_program(folder, "tokenizer decode " + mbart + " --pieces '▁A ▁man . </s>' --keep-special").out == "A man.</s>\n");
  CHECK(json::parse(alinea_program(folder, "tokenizer decode " + mbart + " --json '17 50 5 2'").out)["text"] == "A man.");
  CHECK(alinea_program(folder, "tokenizer decode " + quoted(golden("hf/ctc_tokenizer")) + " --frames '5 5 0 5 6'").out == "eet\n");
  const Result tokens = alinea_program(folder, "explain tokens " + mbart + " 'A man.' --src en_XX --tgt de_DE --target 'Ein Mann.' --json");
  const json shown = json::parse(tokens.out);
  CHECK(shown["encoder_input"]["pieces"] == json({"▁A", "▁man", ".", "</s>", "en_XX"}));
  CHECK(shown["decoder_input"]["ids"][0] == 803);
  CHECK(shown["labels"]["pieces"] == json({"▁Ein", "▁Mann", ".", "</s>", "de_DE"}));
  CHECK(alinea_program(folder, "tokenizer encode " + mbart + " --src xx_XX A").code == 2);
  CHECK(alinea_program(folder, "tokenizer decode " + mbart + " '17 x'").code == 2);
  CHECK(alinea_program(folder, "tokenizer encode '" + folder / "" + "' A").code == 3);
}

TEST_CASE("tokenizer train: each layout opens again") {
  const Folder folder;
  std::string text;
  for (const char* who : {"A man", "A woman", "The boy", "Two girls", "Some dogs"})
    for (const char* what : {"rides a bike", "reads a book", "runs in the park", "looks at the sea"}) text += std::string(who) + " " + what + ".\n";
  write_atomically(folder / "text", text);
  for (const std::string layout : {"plain", "mbart", "mbart50", "ctc"}) {
    CAPTURE(layout);
    const Result made = alinea_program(folder, "tokenizer train --layout " + layout + " --vocabulary 36 --json '" + folder / "text" + "' -o '" + folder / layout + "'");
    REQUIRE(made.code == 0);
    const Result ids = alinea_program(folder, "tokenizer encode '" + folder / layout + "' --plain 'The man runs.'");
    CHECK(alinea_program(folder, "tokenizer decode '" + folder / layout + "'", ids.out).out == "The man runs.\n");
  }
  CHECK(alinea_program(folder, "tokenizer train --layout mbart --vocabulary 5000 '" + folder / "text" + "' -o '" + folder / "large" + "'").code == 3);
}

TEST_CASE("transcribe: text, words with times, forced alignment, beam; unsuitable sound is refused") {
  const Folder folder;
  make_recognizer(folder);
  write_wav(folder / "a.wav", chirp(16000, 2));
  write_wav(folder / "low.wav", chirp(8000, 2));
  write_wav(folder / "short.wav", chirp(16000, 0.024));
  const auto run = [&](const std::string& arguments) { return alinea_program(folder, "transcribe '" + folder / "" + "' " + arguments); };
  const std::string a = quoted(folder / "a.wav");
  const json greedy = json::parse(run("--json " + a).out);
  REQUIRE(greedy["words"].size() >= 1);
  std::string joined;
  double before = 0;
  for (const json& w : greedy["words"]) {
    joined += (joined.empty() ? "" : " ") + w["word"].get<std::string>();
    CHECK(w["start"].get<double>() >= before);
    CHECK(w["end"].get<double>() > w["start"].get<double>());
    before = w["end"];
  }
  CHECK(before <= 2.0);
  CHECK(run(a).out == greedy["text"].get<std::string>() + "\n");
  const json aligned = json::parse(run("--json --align 'abc cab b' " + a).out);
  CHECK(aligned["text"] == "abc cab b");
  CHECK(aligned["words"].size() == 3);
  CHECK(run("--beam 5 " + a).code == 0);
  CHECK(run("--times --align 'abc' " + a).out.find("\tabc\n") != std::string::npos);
  const Result low = run(quoted(folder / "low.wav")), converted = run("--resample " + quoted(folder / "low.wav")), brief = run(quoted(folder / "short.wav"));
  CHECK((low.code == 3 && contains(low.err, "--resample")));
  CHECK((converted.code == 0 && contains(converted.err, "resampled from 8000 Hz to 16000 Hz")));
  CHECK((brief.code == 3 && contains(brief.err, "too few")));
  CHECK(run("--align 'xyz' " + a).code == 2);
  CHECK(run("--align '" + std::string(300, 'a') + "' " + a).code == 3);
  std::filesystem::remove(folder / "vocab.json");
  CHECK(run(a).code == 3);
}
