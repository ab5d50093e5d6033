// The recipe "prompts": the recordings of Debian's asterisk-core-sounds as they are, with their transcripts where one is sure of them:
// a corpus for wav2vec 2.0, which learns from untranscribed speech and is then fine-tuned on letters (CTC). docs/wav2vec2_training.md.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "data/recipes/prepare_progress.h"
#include "data/recipes/transcript.h"

namespace alinea {

struct PromptsOptions {
  std::vector<std::string> languages = {"en", "es", "fr", "it", "ru"};
  std::vector<std::string> transcripts = {"en"};  // languages whose transcripts are kept
  Transcriber::Letters letters = Transcriber::Letters::upper;
  int64_t limit = 0;               // recordings of each language, drawn by the seed; 0: all
  double dev = 0.05, test = 0.05;  // shares of each language
  uint64_t seed = 1;
  std::filesystem::path out;
  std::filesystem::path sounds_dir = "/usr/share/asterisk/sounds";  // holds en_US_f_Allison, …
  std::filesystem::path doc_dir = "/usr/share/doc";                 // holds asterisk-core-sounds-en/core-sounds-en.txt.gz, …
};

struct PromptsSummary {
  struct Split {
    std::string name;
    int64_t recordings = 0, transcribed = 0;
    double hours = 0;
  };
  std::vector<Split> splits;
  int64_t no_speech = 0;  // recordings left out: tones, silence and empty files
  int64_t uncertain = 0;  // sentences left out of the transcripts although their language is kept
  int64_t letters = 0;    // entries of vocab.json
};

/// Writes out/: {train,dev,test}.tsv (tgt_text: letters of the transcript, empty where there is none; src_text: the printed sentence),
/// audio/LL/ID.wav (16 kHz, 16 bits), vocab.json and tokenizer_config.json (where there are transcripts) and preprocessor_config.json as
/// Hugging Face's wav2vec 2.0 reads them, config.json. Recordings of one text are in one split. A pure function of the options. Everything
/// is written under out.part and renamed at the end. Throws Error{usage} if out exists, Error{data} naming the packages to install when
/// recordings or texts are missing.
PromptsSummary prepare_prompts(const PromptsOptions& options, const PrepareProgress& progress = {});

}  // namespace alinea
