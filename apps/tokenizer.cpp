// alinea tokenizer: text to ids and back, and training one.
#include <charconv>
#include <iostream>
#include <nlohmann/json.hpp>

#include "apps/commands.h"
#include "data/recipes/text.h"
#include "data/subwords.h"
#include "data/tokenizers/ctc.h"
#include "data/tokenizers/mbart.h"
#include "engine/core/files.h"

namespace alinea {

namespace {

using json = nlohmann::ordered_json;

struct TokenizerOptions {
  CommonOptions common;
  std::string directory;
  std::vector<std::string> texts;
  std::string source, target;                               // languages
  bool as_target = false, pieces = false, plain = false, keep_special = false, frames = false;
  // train
  std::string layout = "plain", out;
  SubwordTraining training{.model = ""};
  bool lower_case = false;
};

// The arguments, or without any the lines of stdin, each as soon as it is there.
template <class F>
void each_line(const TokenizerOptions& o, F f) {
  for (const std::string& text : o.texts) f(text);
  std::string line;
  while (o.texts.empty() && std::getline(std::cin, line)) {
    f(line);
    std::fflush(stdout);
  }
}

template <class T>
std::string spaced(const std::vector<T>& values) {
  std::string line;
  for (const T& value : values) line += fmt::format("{}{}", line.empty() ? "" : " ", value);
  return line;
}

std::vector<std::string> pieces_of_ids(const Tokenizer& tokenizer, const std::vector<int32_t>& ids, Side side) {
  std::vector<std::string> pieces;
  for (const int32_t id : ids) pieces.push_back(tokenizer.piece(id, side));
  return pieces;
}

Side side_of(const TokenizerOptions& o) { return o.as_target || !o.target.empty() ? Side::target : Side::source; }

void refuse_two_languages(const TokenizerOptions& o) {
  require(o.source.empty() || o.target.empty(), "tokenizer: --src and --tgt are both given; a text is on one side (alinea explain tokens shows both)");
}

int encode(const TokenizerOptions& o) {
  refuse_two_languages(o);
  const auto tokenizer = open_tokenizer(o.directory);
  const Side side = side_of(o);
  each_line(o, [&](const std::string& text) {
    const auto ids = o.plain ? tokenizer->encode(text, side) : tokenizer->encode(text, side, side == Side::target ? o.target : o.source);
    const auto pieces = pieces_of_ids(*tokenizer, ids, side);
    if (o.common.json) print_json({{"text", text}, {"ids", ids}, {"pieces", pieces}});
    else fmt::print("{}\n", o.pieces ? spaced(pieces) : spaced(ids));
  });
  return 0;
}

int32_t id_of(const TokenizerOptions& o, const Tokenizer& tokenizer, std::string_view word, Side side) {
  if (o.pieces) {
    const auto id = tokenizer.find(word, side);
    require(id.has_value(), "tokenizer: {} has no piece '{}'", o.directory, word);
    return *id;
  }
  int32_t id = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), id);
  require(error == std::errc() && end == word.data() + word.size(), "tokenizer: '{}' is no id; expected whole numbers with spaces between (--pieces reads pieces)", word);
  return id;
}

int decode(const TokenizerOptions& o) {
  refuse_two_languages(o);
  const auto tokenizer = open_tokenizer(o.directory);
  const auto* ctc = dynamic_cast<const CtcTokenizer*>(tokenizer.get());
  require(!o.frames || ctc, "tokenizer: --frames is for CTC vocabularies, and {} is a {}", o.directory, tokenizer->kind());
  const Side side = o.source.empty() ? Side::target : Side::source;
  each_line(o, [&](const std::string& line) {
    std::vector<int32_t> ids;
    for (size_t at = 0; (at = line.find_first_not_of(' ', at)) != line.npos;) {
      const size_t end = std::min(line.find(' ', at), line.size());
      ids.push_back(id_of(o, *tokenizer, std::string_view(line).substr(at, end - at), side));
      at = end;
    }
    const std::string text = o.frames ? ctc->transcript(collapse(ids, ctc->blank()), {.keep_special = o.keep_special}).text : tokenizer->decode(ids, side, o.keep_special);
    if (o.common.json) print_json({{"ids", ids}, {"pieces", pieces_of_ids(*tokenizer, ids, side)}, {"text", text}});
    else fmt::print("{}\n", text);
  });
  return 0;
}

int train(const TokenizerOptions& o) {
  std::vector<std::string> sentences;
  std::string place;
  for (const std::string& file : o.texts) {
    for (std::string& line : read_sentences(file)) sentences.push_back(std::move(line));
    place += (place.empty() ? "" : ", ") + file;
  }
  const bool mbart = o.layout != "plain" && o.layout != "ctc";
  SubwordTraining training = o.training;
  if (training.model.empty()) training.model = mbart ? "unigram" : SubwordTraining().model;
  require(!o.lower_case || o.layout == "ctc", "tokenizer: --lower-case belongs to --layout ctc");
  make_folder(o.out);
  if (mbart) train_mbart_tokenizer(sentences, training, o.layout == "mbart50", place, o.out);
  else if (o.layout == "ctc") make_ctc_tokenizer(sentences, o.lower_case, o.out);
  else train_subwords(sentences, training, place).save(std::filesystem::path(o.out) / "subwords.model");
  const auto made = open_tokenizer(o.out);
  if (o.common.json) print_json({{"out", o.out}, {"kind", made->kind()}, {"ids", made->size()}, {"sentences", sentences.size()}});
  else note(o.common, "{}: {} with {} ids from {} sentences", o.out, made->kind(), made->size(), sentences.size());
  return 0;
}

Command add_reading(Command parent, Run& run, const char* name, const char* description, const char* examples, const char* text, int (*read)(const TokenizerOptions&)) {
  auto o = std::make_shared<TokenizerOptions>();
  Command app = add_command(parent, name, description, examples);
  app.add_option("DIR", o->directory, "model or tokenizer directory").required();
  app.add_option("TEXT", o->texts, text);
  app.add_option("--src", o->source, "the text is a source in this language, en_XX or fr").type_name("LANGUAGE");
  app.add_option("--tgt", o->target, "the text is a target in this language").type_name("LANGUAGE");
  app.add_flag("--pieces", o->pieces, "pieces in place of ids");
  if (read == encode) {
    app.add_flag("--target", o->as_target, "the text is a target, in the language of tokenizer_config.json");
    app.add_flag("--plain", o->plain, "the text alone, without end and language");
  } else {
    app.add_flag("--keep-special", o->keep_special, "write special ids as they are spelt");
    app.add_flag("--frames", o->frames, "a CTC label per frame: merge equal neighbours, then drop blanks");
  }
  add_common(app, o->common, Common::json);
  app.callback([o, read, &run] { run = [o, read] { return read(*o); }; });
  return app;
}

void add_training(Command parent, Run& run) {
  auto o = std::make_shared<TokenizerOptions>();
  Command app = add_command(parent, "train", "a tokenizer from text files of one sentence a line",
                              "alinea tokenizer train --layout mbart --vocabulary 8000 train.en train.de -o mbart-small\n"
                              "alinea tokenizer train --layout ctc --lower-case transcripts.txt -o ctc");
  app.add_option("FILE", o->texts, "sentences").required();
  app.add_option("-o,--out", o->out, "folder to make").required().type_name("DIR");
  app.add_option("--layout", o->layout, "plain: subwords.model; mbart, mbart50: as transformers opens them; ctc: characters").show_default().one_of({"plain", "mbart", "mbart50", "ctc"});
  app.add_option("--vocabulary", o->training.vocabulary, "pieces; mBART's ids are 27 more, mBART-50's 54").show_default();
  app.add_option("--model", o->training.model, "bpe or unigram; mBART's are unigram, else bpe").one_of({"bpe", "unigram"});
  app.add_option("--coverage", o->training.character_coverage, "share of the characters that get a piece").show_default();
  app.add_flag("--lower-case", o->lower_case, "ctc: one case only, written in lower case");
  add_common(app, o->common, Common::json);
  app.callback([o, &run] { run = [o] { return train(*o); }; });
}

}  // namespace

void add_tokenizer(Command program, Run& run) {
  Command app = add_command(program, "tokenizer", "text to ids and back, and training a tokenizer",
                              "alinea tokenizer encode mbart-large-50 --src en_XX 'A man.'\n"
                              "alinea tokenizer decode mbart-large-50 '250004 62 332 5 2'");
  app.require_command();
  add_reading(app, run, "encode", "text to ids", "alinea tokenizer encode DIR --src en_XX --pieces 'A man.'\nalinea tokenizer encode DIR --tgt de_DE < sentences.txt",
              "sentences; without any, the lines of stdin", encode);
  add_reading(app, run, "decode", "ids to text", "alinea tokenizer decode DIR '17 50 5 2 804'\nalinea tokenizer decode CTC --frames '5 5 0 5 6'",
              "ids with spaces between; without any, the lines of stdin", decode);
  add_training(app, run);
}

}  // namespace alinea
