// alinea transcribe: speech to text by a CTC model, with the times of the words.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "apps/commands.h"
#include "apps/recognizer.h"
#include "data/audio.h"
#include "data/ctc/alignment.h"
#include "data/ctc/beam_search.h"
#include "data/resample.h"

namespace alinea {

namespace {

using json = nlohmann::ordered_json;

constexpr double passed_over = -12;                         // labels less probable than e^-12 in a frame are not tried

struct TranscribeOptions {
  CommonOptions common;
  std::string directory, align;
  std::vector<std::string> files;
  int64_t beam = 0;
  bool times = false, keep_special = false, resample = false, mono = false;
};

Audio sound_of(const TranscribeOptions& o, const std::string& file, int rate) {
  const int has = audio_info(file).rate;
  require_data(has == rate || o.resample, "{}: is sampled at {} Hz and the model hears {} Hz; --resample converts it", file, has, rate);
  const Audio audio = read_audio(file, {.rate = has, .average_channels = o.mono});
  if (has == rate) return audio;
  note(o.common, "transcribe: {}: resampled from {} Hz to {} Hz", file, has, rate);
  return resample(audio, rate);
}

std::vector<LabelSpan> align(const CtcFrames& frames, const std::vector<int32_t>& labels, const std::string& file) {
  auto alignment = ctc_align(frames, labels);
  require_data(alignment.has_value(), "{}: {} frames cannot say {} labels; each needs a frame, and one more between two equal ones", file, frames.frames(), labels.size());
  return std::move(alignment->spans);
}

std::vector<LabelSpan> spans_of(const TranscribeOptions& o, const CtcFrames& frames, const CtcTokenizer& tokenizer, const std::string& file) {
  if (!o.align.empty()) {
    const auto labels = tokenizer.encode(o.align, Side::target);
    const auto unknown = std::find(labels.begin(), labels.end(), tokenizer.special().unknown);
    require(unknown == labels.end(), "transcribe: --align: label {} of the text is not in the vocabulary, so it cannot be aligned", unknown - labels.begin() + 1);
    return align(frames, labels, file);
  }
  if (o.beam == 0) return collapse(best_path(frames), frames.blank());
  return align(frames, ctc_beam_search(frames, {.beam = o.beam, .least_log_probability = passed_over})[0].labels, file);
}

void print(const TranscribeOptions& o, const Transcript& transcript, const Recognizer& recognizer, const std::string& file, double seconds) {
  const double step = recognizer.seconds_per_frame();
  const auto spelt = [&](const Transcript::Piece& word) { return recognizer.tokenizer().spelling(word.text); };
  if (o.common.json) {
    json words = json::array();
    for (const auto& w : transcript.words) words.push_back({{"word", spelt(w)}, {"start", double(w.begin) * step}, {"end", double(w.end) * step}});
    print_json({{"file", file}, {"text", transcript.text}, {"seconds", seconds}, {"words", words}});
    return;
  }
  if (!o.times) return fmt::print("{}\n", transcript.text);
  for (const auto& w : transcript.words) fmt::print("{}\t{:.3f}\t{:.3f}\t{}\n", file, double(w.begin) * step, double(w.end) * step, spelt(w));
}

int transcribe(const TranscribeOptions& o) {
  require(o.beam >= 0, "transcribe: --beam {}; expected 0 (the most probable label of each frame) or the width of a beam", o.beam);
  require(o.align.empty() || (o.files.size() == 1 && o.beam == 0), "transcribe: --align is for one file, and needs no --beam");
  Context& context = context_of(o.common);
  Recognizer recognizer(o.directory, context);
  for (const std::string& file : o.files) {
    const Audio audio = sound_of(o, file, recognizer.rate());
    const CtcFrames frames = recognizer.listen(audio.samples, file);
    print(o, recognizer.tokenizer().transcript(spans_of(o, frames, recognizer.tokenizer(), file), {.keep_special = o.keep_special}), recognizer, file, audio.seconds());
    std::fflush(stdout);
  }
  return 0;
}

}  // namespace

void add_transcribe(Command program, Run& run) {
  auto o = std::make_shared<TranscribeOptions>();
  Command app = add_command(program, "transcribe", "speech to text by a CTC model, with the times of the words",
                              "alinea transcribe wav2vec2-base-960h speech.flac\n"
                              "alinea transcribe wav2vec2-base-960h --json --beam 20 *.wav\n"
                              "alinea transcribe wav2vec2-base-960h --times --align 'what was said' speech.wav");
  add_common(app, o->common, Common::device | Common::json);
  app.add_option("MODEL", o->directory, "directory of a Wav2Vec2ForCTC").required();
  app.add_option("FILE", o->files, "sound files of one channel, at the model's rate").required();
  app.add_option("--beam", o->beam, "prefix beam search of this width; 0: the most probable label of each frame").show_default();
  app.add_option("--align", o->align, "the text is known: only find when each word is said").type_name("TEXT");
  app.add_flag("--times", o->times, "file, start, end (seconds) and word, one word a line");
  app.add_flag("--keep-special", o->keep_special, "write <unk>, <s> and </s> as well");
  app.add_flag("--resample", o->resample, "convert files of another sampling rate");
  app.add_flag("--mono", o->mono, "average the channels of a file that has several");
  app.callback([o, &run] { run = [o] { return transcribe(*o); }; });
}

}  // namespace alinea
