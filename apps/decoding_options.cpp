#include "apps/decoding_options.h"

#include "engine/core/error.h"

namespace alinea {

StreamOptions DecodingOptions::stream_options(const std::string& policy) const {
  using Policy = StreamOptions::Policy;
  StreamOptions o = stream;
  if (max_tokens > 0) o.max_tokens = max_tokens;
  if (policy == "offline") o.policy = Policy::offline;
  else if (policy == "emma") o.policy = Policy::emma;
  else if (policy.starts_with("waitk:") && policy.size() > 6 && policy.find_first_not_of("0123456789", 6) == std::string::npos && policy.size() < 12) {
    o.policy = Policy::waitk;
    o.wait_k = std::stoll(policy.substr(6));
  } else {
    fail(Exit::usage, "policy '{}' is not one of offline, emma, waitk:K", policy);
  }
  return o;
}

GenerationConfig DecodingOptions::text_config(GenerationConfig config) const {
  if (beam > 0) config.num_beams = beam;
  if (app && app->given("--length-penalty")) config.length_penalty = length_penalty;
  if (max_tokens > 0) config.max_new_tokens = max_tokens;
  config.assign(generate);
  config.check();
  return config;
}

void DecodingOptions::refuse_speech_options(std::initializer_list<const char*> more) const {
  const char* why = "is for speech models; a text model translates whole sentences";
  refuse_given(*app, {"--policy", "--threshold", "--reduce", "--ratio", "--recompute"}, why);
  refuse_given(*app, more, why);
}

void DecodingOptions::refuse_text_options() const {
  refuse_given(*app, {"--beam", "--length-penalty", "--generate"}, "is for text models; speech is decoded greedily");
  refuse_given(*app, {"--dtype"}, "is for text models and those in Hugging Face's form; this program's speech models keep fp32");
}

namespace {

template <class Threshold>
void add(Command app, DecodingOptions& o, const std::string& policies, Threshold& threshold) {
  o.app = app;
  app.add_option("--policy", o.policy, policies);
  app.add_option("--threshold", threshold, "EMMA's decision threshold: lower is faster").range(0.0, 1.0);
  app.add_option("--reduce", o.stream.reduce, "over layers and heads: min, mean or median");
  app.add_option("--ratio", o.stream.ratio, "wait-k: encoder states per token");
  app.add_flag("--recompute", o.stream.recompute, "run the whole prefix again at every decision instead of keeping what a token saw");
  app.add_option("--max-tokens", o.max_tokens, "longest output; 0: 60 words of speech, 100 pieces of text");
  app.add_option("--beam", o.beam, "text: hypotheses followed at once; 1: greedy").range(1, 100);
  app.add_option("--length-penalty", o.length_penalty, "text, with --beam: above 0 favours longer sentences");
  app.add_option("--generate", o.generate, "text: further settings of the search by their Hugging Face names, early_stopping=true,no_repeat_ngram_size=3").type_name("NAME=VALUE,…");
  app.add_option("--dtype", o.dtype, "text: how matrices are stored; bf16 takes half the memory and time of fp32 to read, arithmetic stays fp32").show_default().one_of({"fp32", "bf16"});
}

}  // namespace

void add_decoding(Command app, DecodingOptions& options, const std::string& policies, double& threshold) { add(app, options, policies, threshold); }
void add_decoding(Command app, DecodingOptions& options, const std::string& policies, std::vector<double>& thresholds) {
  add(app, options, policies, thresholds);
}

}  // namespace alinea
