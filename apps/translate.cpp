#include <poll.h>
#include <unistd.h>

#include <iostream>
#include <nlohmann/json.hpp>

#include "apps/commands.h"
#include "apps/decoding_options.h"
#include "apps/evaluate.h"
#include "apps/live.h"
#include "apps/signals.h"
#include "apps/sound_evaluate.h"
#include "apps/task.h"
#include "apps/text_evaluate.h"
#include "data/audio.h"
#include "data/recipes/text.h"
#include "models/hub/hub_cache.h"
#include "models/hub/model_directory.h"

namespace alinea {

namespace {

struct TranslateOptions {
  CommonOptions common;
  DecodingOptions decoding;
  std::string run;
  std::vector<std::string> files;
  Languages languages;
  bool stream = false, trace = false, mono = false;
};

// Pieces of 16-bit little-endian PCM at 16 kHz from stdin; false at the end. A silent source does not hold up a signal.
bool read_pcm(std::vector<float>& samples, const StopSignals& stop) {
  static constexpr size_t piece = 2560;                     // 80 ms
  std::string bytes(2 * piece, '\0');
  size_t have = 0;
  while (have < bytes.size()) {
    pollfd source{STDIN_FILENO, POLLIN, 0};
    while (!stop.received() && ::poll(&source, 1, 200) == 0) {}
    if (stop.received()) break;
    const ssize_t n = ::read(STDIN_FILENO, bytes.data() + have, bytes.size() - have);
    if (n < 0 && errno == EINTR) break;
    if (n < 0) fail(Exit::data, "stdin: reading failed ({})", std::strerror(errno));
    if (n == 0) break;
    have += size_t(n);
  }
  std::vector<int16_t> pcm(have / 2);
  std::memcpy(pcm.data(), bytes.data(), pcm.size() * 2);
  samples = from_pcm16(pcm);
  return have > 0;
}

class Printer {
 public:
  Printer(const TranslateOptions& o, const Vocabulary& target, int64_t heads) : o_(o), target_(target), heads_(heads) {}

  void show(const std::vector<LiveTranslator::Event>& events) {
    for (const auto& [d, ms] : events) {
      if (o_.trace) fmt::print(stderr, "{:8.2f} s  {}\n", ms / 1000, describe(d, target_, heads_));
      if (!d.write) continue;
      words_.push_back(target_.word(d.token));
      delays_.push_back(ms);
      if (o_.stream && !o_.common.json) fmt::print("{}{}", words_.size() > 1 ? " " : "", words_.back());
      if (o_.stream) std::fflush(stdout);
    }
  }
  void end(const std::string& file, double source_ms) {
    std::string text;
    for (const auto& w : words_) text += (text.empty() ? "" : " ") + w;
    if (o_.common.json) print_json({{"file", file}, {"text", text}, {"words", words_}, {"delays_ms", delays_}, {"source_ms", source_ms}});
    else fmt::print("{}\n", o_.stream ? "" : text);
    words_.clear();
    delays_.clear();
  }

 private:
  const TranslateOptions& o_;
  const Vocabulary& target_;
  int64_t heads_;
  std::vector<std::string> words_;
  std::vector<double> delays_;
};

int translate_file(const TranslateOptions& o, const std::string& file, S2TTransformer& model, Context& context, const StreamOptions& options, Printer& printer) {
  StopSignals stop;
  LiveTranslator live(model, context, options);
  if (file == "-") {
    std::vector<float> samples;
    while (!stop.received() && read_pcm(samples, stop)) printer.show(live.accept(samples));
  } else {
    const Audio audio = read_audio(file, {.rate = 16000, .average_channels = o.mono});
    for (size_t at = 0; at < audio.samples.size() && !stop.received(); at += 2560)
      printer.show(live.accept(std::span(audio.samples).subspan(at, std::min<size_t>(2560, audio.samples.size() - at))));
  }
  printer.show(live.finish());
  printer.end(file, live.source_ms());
  return stop.received() ? stop.exit_code() : 0;
}

void print_translations(const TranslateOptions& o, const std::string& file, const std::vector<std::string>& sources, const std::vector<std::string>& targets) {
  for (size_t i = 0; i < targets.size(); ++i) {
    if (o.common.json) print_json({{"file", file}, {"source", sources[i]}, {"text", targets[i]}});
    else fmt::print("{}\n", targets[i]);
  }
  std::fflush(stdout);
}

// An argument with spaces that is no file is a sentence.
bool is_sentence(const std::string& argument) { return argument.find(' ') != std::string::npos && !std::filesystem::exists(argument); }

int translate_texts(const TranslateOptions& o, const std::filesystem::path& path, Context& context) {
  o.decoding.refuse_speech_options({"--stream", "--mono", "--trace"});
  const auto model = load_text_model(path, context, o.decoding.matrices());
  const auto tokenizer = open_tokenizer(path);
  const GenerationConfig decoding = o.decoding.text_config(text_settings(path));
  for (const std::string& file : o.files) {
    if (file != "-") {
      const auto lines = is_sentence(file) ? std::vector<std::string>{file} : read_sentences(file);
      print_translations(o, file, lines, translate_text(*model, *tokenizer, o.languages, lines, decoding));
      continue;
    }
    std::string line;                                       // one at a time: each is answered at once
    while (std::getline(std::cin, line)) {
      const std::vector<std::string> one{line};
      print_translations(o, file, one, translate_text(*model, *tokenizer, o.languages, one, decoding));
    }
  }
  return 0;
}

// Whole utterances by a Hugging Face model: features as its preprocessor_config.json says, text as its tokenizer spells it.
template <class Model>
int translate_files(const TranslateOptions& o, const std::filesystem::path& path, Context& context, Model& model) {
  refuse_given(*o.decoding.app, {"--policy", "--threshold", "--reduce", "--ratio", "--recompute", "--stream", "--trace"}, "is for models of this program that can be streamed");
  const FeatureExtractor features = FeatureExtractor::open(path);
  const auto tokenizer = open_tokenizer(path);
  const GenerationConfig settings = for_language(o.decoding.text_config(text_settings(path)), *tokenizer, o.languages.target);
  for (const std::string& file : o.files) {
    require(file != "-", "translate: this model hears whole files, not stdin");
    const Audio audio = read_audio(file, {.rate = features.rate, .average_channels = o.mono});
    const std::string text = translate_sounds(model, context, one_sound(features, audio.samples), *tokenizer, settings).front();
    if (o.common.json) print_json({{"file", file}, {"text", text}, {"source_ms", 1000 * audio.seconds()}});
    else fmt::print("{}\n", text);
  }
  return 0;
}

int translate(const TranslateOptions& o) {
  Context& context = context_of(o.common);
  const auto path = model_path(resolve_model(o.run));
  const std::string type = model_type_of(path);
  if (is_text_model(type)) return translate_texts(o, path, context);
  refuse_given(*o.decoding.app, {"--src"}, "is for text models; a sound's language is what the model was trained on");
  if (type == "speech-encoder-decoder") return translate_files(o, path, context, *load_speech_translation(path, context, o.decoding.matrices()));
  if (type == "speech_to_text") return translate_files(o, path, context, *load_model(path, context, o.decoding.matrices()));
  refuse_given(*o.decoding.app, {"--tgt"}, "is for models of several languages");
  o.decoding.refuse_text_options();
  const auto model = load_model(path, context);
  const Vocabulary target = Vocabulary::load(path / "vocab.tgt.txt");
  const bool has_policy = model->config().has_policy, automatic = o.decoding.policy == "auto";
  const StreamOptions options = o.decoding.stream_options(!automatic ? o.decoding.policy : o.stream && has_policy ? "emma" : "offline");
  if (automatic && o.stream && !has_policy) note(o.common, "translate: this model has no policy: it writes when the source has ended (--policy waitk:K writes earlier)");
  Printer printer(o, target, model->config().policy.heads);
  for (const std::string& file : o.files)
    if (const int code = translate_file(o, file, *model, context, options, printer)) return code;
  return 0;
}

}  // namespace

void add_translate(Command program, Run& run) {
  auto o = std::make_shared<TranslateOptions>();
  Command app = add_command(program, "translate", "translate speech, whole or while it is heard, or text",
                              "alinea translate runs/emma speech.wav\n"
                              "alinea translate runs/emma --stream --trace speech.wav\n"
                              "arecord -q -f S16_LE -r 16000 -c 1 -t raw | alinea translate runs/emma --stream -\n"
                              "alinea translate runs/text --beam 5 sentences.txt\n"
                              "echo 'A dog runs.' | alinea translate runs/text -\n"
                              "alinea translate facebook/mbart-large-50-many-to-many-mmt 'A dog runs.' --src en_XX --tgt de_DE\n"
                              "alinea translate mbart-large 'A dog runs.' --src en_XX --tgt de_DE --dtype bf16\n"
                              "alinea translate wav2vec2-mbart speech.wav --beam 5");
  add_common(app, o->common, Common::device | Common::json);
  app.add_option("RUN", o->run, "run, model directory, or the name of a model in Hugging Face's cache").required();
  app.add_option("FILE", o->files, "sound files of one channel at 16 kHz (- reads 16-bit PCM at 16 kHz from stdin), or for a text model files of one sentence a line (- reads lines) or a sentence").required();
  app.add_option("--src", o->languages.source, "language of the text, of a model that knows several (en_XX)");
  app.add_option("--tgt", o->languages.target, "language to translate to (de_DE)");
  app.add_flag("--stream", o->stream, "write each word as soon as the policy allows");
  add_decoding(app, o->decoding, "offline, emma or waitk:K; auto: emma when streaming with a model that has a policy", o->decoding.stream.threshold);
  app.add_flag("--mono", o->mono, "average the channels of a file that has several");
  app.add_flag("--trace", o->trace, "every decision on stderr: which layer and head held a word back, and at which p");
  app.callback([o, &run] { run = [o] { return translate(*o); }; });
}

}  // namespace alinea
