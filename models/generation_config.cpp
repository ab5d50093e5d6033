#include "models/generation_config.h"

#include <algorithm>

#include "engine/core/error.h"

namespace alinea {

namespace {

// "2", "[2,7]" or "null".
void token_list(Config& c, std::string_view name, std::vector<int64_t>& ids, std::string_view help) {
  JsonText text{ids.empty() ? "null" : ids.size() == 1 ? fmt::format("{}", ids[0]) : fmt::format("[{}]", fmt::join(ids, ","))};
  c.field(name, text, help);
  ids.clear();
  if (text.text == "null") return;
  const bool list = text.text.front() == '[';
  Config one = Config::text("{\"ids\":" + (list ? text.text : "[" + text.text + "]") + "}", std::string(name));
  one.field("ids", ids, help);
}

void early_stopping_field(Config& c, EarlyStopping& value) {
  constexpr std::string_view names[] = {"false", "true", "\"never\""};
  JsonText text{std::string(names[int(value)])};
  c.field("early_stopping", text, "true (num_beams hypotheses have ended), false (and the best one that goes on would not beat them now) or never (at no length)");
  if (text.text == "null") text.text = "false";
  const auto* found = std::find(std::begin(names), std::end(names), text.text);
  require(found != std::end(names), "generation: early_stopping is {}; it must be true, false or \"never\"", text.text);
  value = EarlyStopping(found - std::begin(names));
}

void check_token(std::string_view name, int64_t id) { require(id >= 0 && id < (int64_t(1) << 31), "generation: {} {} is no token", name, id); }

}  // namespace

void GenerationConfig::fields(Config& c) {
  c.field("num_beams", num_beams, "hypotheses that are followed at once; 1: greedy");
  c.field("num_return_sequences", num_return_sequences, "hypotheses returned for each sentence, at most num_beams");
  c.field("max_length", max_length, "longest sequence in tokens, the start token included");
  c.field("max_new_tokens", max_new_tokens, "the same without the start token; stands over max_length");
  c.field("min_length", min_length, "no end token before this many tokens, the start token included");
  c.field("min_new_tokens", min_new_tokens, "the same without the start token");
  c.field("length_penalty", length_penalty, "a hypothesis is worth its log probability divided by its length to this power; above 0 longer ones lose less");
  early_stopping_field(c, early_stopping);
  c.field("no_repeat_ngram_size", no_repeat_ngram_size, "no sequence of this many tokens occurs twice; 0: any may");
  c.field("repetition_penalty", repetition_penalty, "factor on the log probability of a token that occurred before; above 1 makes it rarer");
  c.field("do_sample", do_sample, "must be false: the search is deterministic");
  c.field("decoder_start_token_id", decoder_start_token_id, "the first token; null: the model's");
  token_list(c, "eos_token_id", eos_token_id, "the token that ends a sentence, or a list of them; null: the model's");
  c.field("pad_token_id", pad_token_id, "fills rows that ended early; null: the model's");
  c.field("forced_bos_token_id", forced_bos_token_id, "the first token after the start token, e.g. the target language of mBART-50");
  token_list(c, "forced_eos_token_id", forced_eos_token_id, "the last token of a sequence that reaches its longest length, or a list of them");
}

void GenerationConfig::check() const {
  require(num_beams >= 1 && num_beams <= 1000, "generation: num_beams {} must be 1 … 1000", num_beams);
  require(num_return_sequences >= 1 && num_return_sequences <= num_beams, "generation: num_return_sequences {} must be 1 … num_beams ({})", num_return_sequences, num_beams);
  require(max_length || max_new_tokens, "generation: neither max_length nor max_new_tokens is set; one of them must bound the output");
  require(longest() >= 2 && longest() <= int64_t(1) << 24, "generation: the longest sequence has {} tokens with the start token; it must have 2 … 2^24", longest());
  require(min_length >= 0 && min_new_tokens.value_or(0) >= 0 && no_repeat_ngram_size >= 0, "generation: min_length, min_new_tokens and no_repeat_ngram_size must not be negative");
  require(repetition_penalty > 0, "generation: repetition_penalty {} must be above 0", repetition_penalty);
  require(!do_sample, "generation: do_sample is true, but tokens are not sampled here; set do_sample=false and num_beams");
  for (const auto& [name, id] : {std::pair("decoder_start_token_id", decoder_start_token_id), {"pad_token_id", pad_token_id}, {"forced_bos_token_id", forced_bos_token_id}})
    if (id) check_token(name, *id);
  for (const int64_t id : eos_token_id) check_token("eos_token_id", id);
  for (const int64_t id : forced_eos_token_id) check_token("forced_eos_token_id", id);
}

void GenerationConfig::assign(std::string_view settings) {
  Config tree;
  fields(tree);                                             // the values so far
  const auto defaults = Config::fields_of(GenerationConfig{});
  while (!settings.empty()) {
    const std::string_view one = settings.substr(0, settings.find(','));
    settings.remove_prefix(std::min(settings.size(), one.size() + 1));
    const size_t equals = one.find('=');
    require(equals != one.npos && equals > 0, "generation: '{}' is not NAME=VALUE, e.g. num_beams=5", one);
    const std::string_view name = one.substr(0, equals);
    std::string value(one.substr(equals + 1));
    if (value == "none") {
      const auto same = std::find_if(defaults.begin(), defaults.end(), [&](const Config::Field& f) { return f.name == name; });
      value = same == defaults.end() || same->name == "max_length" ? "null" : same->value;
    } else if (value.find('+') != value.npos && name.ends_with("token_id")) {
      std::replace(value.begin(), value.end(), '+', ',');
      value = "[" + value + "]";
    }
    tree.set(name, value);
  }
  fields(tree);
  tree.refuse_unread();
}

int64_t GenerationConfig::longest() const { return max_new_tokens ? 1 + *max_new_tokens : max_length.value_or(0); }

int64_t GenerationConfig::shortest() const { return std::max(min_length, min_new_tokens ? 1 + *min_new_tokens : 0); }

GenerationConfig GenerationConfig::with_tokens(int64_t start, int64_t eos, int64_t pad) const {
  GenerationConfig c = *this;
  if (!c.decoder_start_token_id) c.decoder_start_token_id = start;
  if (c.eos_token_id.empty()) c.eos_token_id = {eos};
  if (!c.pad_token_id) c.pad_token_id = pad;
  return c;
}

}  // namespace alinea
