// wav2vec 2.0 against Hugging Face's on the same files: states, logits, losses and the gradients of all parameters.
#include <doctest/doctest.h>

#include "models/hub/model_directory.h"
#include "models/wav2vec2/ctc.h"
#include "tests/golden_case.h"

using namespace alinea;

namespace {

Wav2Vec2Config config_of(const GoldenCase& golden) {
  Wav2Vec2Config c;
  Config file = Config::file(golden.file("config.json"));
  c.fields(file);
  return c;
}

template <class Model>
Model load(const GoldenCase& golden, const Wav2Vec2Config& config) {
  Model model(Context::cpu(), config, RandomKey{1});
  load_parameters(model, SafetensorsFile(golden.file("model.safetensors")).load_all(Context::cpu()), golden.file("model.safetensors"));
  return model;
}

// [B, T, C] -> [B, C, T], as convolutions keep it in PyTorch.
Tensor channels_first(const Variable& x) { return x.value().permute({0, 2, 1}).compact(); }

void check_forward(const GoldenCase& golden, Wav2Vec2ForCTC& model) {
  const Tensor samples = golden.input("input_values");
  const std::vector<int32_t> lengths = golden.lengths("sample_lengths");
  const auto out = model.forward(samples, lengths, {}, {.hidden_states = true}, {});
  const auto& e = out.encoder;
  const std::map<std::string, Tensor> got = {{"feature_extractor", channels_first(e.conv_features)}, {"extract_features", e.extract_features.value()},
                                             {"last_hidden_state", e.states.value()},               {"logits", out.logits.value()},
                                             {"logits_without_mask", model.forward(samples, {}, {}, {}, {}).logits.value()}};
  for (const auto& [name, tensor] : got)
    if (golden.has(name)) golden.check(name, tensor);
  golden.check("frame_lengths", e.frames);
  if (golden.has("logit_lengths")) golden.check("logit_lengths", e.lengths);
  CHECK(int64_t(e.hidden_states.size()) == model.config().num_hidden_layers + 1);
  for (size_t i = 0; i < e.hidden_states.size(); ++i)
    if (const std::string name = fmt::format("hidden_states.{}", i); golden.has(name)) golden.check(name, e.hidden_states[i].value());
}

void check_losses(const GoldenCase& golden, const Wav2Vec2Config& config) {
  for (const std::string reduction : {"sum", "mean"}) {
    for (const auto& [labels, name] : std::map<std::string, std::string>{{"labels", ""}, {"labels_with_blank", ".blank_in_labels"},
                                                                        {"labels_too_long", ".too_long.zero_infinity_0"}, {"labels_too_long ", ".too_long.zero_infinity_1"}}) {
      if (!golden.has("loss_" + reduction + name)) continue;
      Wav2Vec2Config c = config;
      c.ctc_loss_reduction = reduction, c.ctc_zero_infinity = name.ends_with("_1");
      auto model = load<Wav2Vec2ForCTC>(golden, c);
      const auto out = model.forward(golden.input("input_values"), golden.lengths("sample_lengths"), golden.input(labels.substr(0, labels.find(' '))), {}, {});
      golden.check("loss_" + reduction + name, out.loss.value());
      CHECK(out.too_long == (name.starts_with(".too_long") ? 1 : 0));
    }
  }
}

void check_gradients(const GoldenCase& golden, Wav2Vec2ForCTC& model) {
  Tape tape;
  const auto out = model.forward(golden.input("input_values"), golden.lengths("sample_lengths"), golden.input("labels"), {}, {.tape = &tape});
  golden.check("loss", out.loss.value());
  tape.backward(out.loss);
  golden.check_gradients(model);
}

void check_ctc_case(const std::string& name) {
  const GoldenCase golden(name);
  const Wav2Vec2Config config = config_of(golden);
  auto model = load<Wav2Vec2ForCTC>(golden, config);
  check_forward(golden, model);
  check_losses(golden, config);
  check_gradients(golden, model);
}

}  // namespace

TEST_CASE("wav2vec2: group norm, norm after each block") { check_ctc_case("w2v2_base"); }
TEST_CASE("wav2vec2: layer norm, gated convolutions at the end") { check_ctc_case("w2v2_adapter"); }
TEST_CASE("wav2vec2: norm before each block, adapters per language") { check_ctc_case("w2v2_mms"); }
