// wav2vec 2.0 against Hugging Face's on the same files: states, logits, losses and the gradients of all parameters.
#include <doctest/doctest.h>

#include "models/wav2vec2/ctc.h"
#include "tests/models/wav2vec2.h"

using namespace alinea;

namespace {

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

TEST_CASE("wav2vec2: a file of older days, pytorch_model.bin with weight_g and weight_v") { check_ctc_case("w2v2_oldbin"); }

TEST_CASE("wav2vec2: lengths before and after the adapter") {
  Wav2Vec2Config c;
  CHECK(c.receptive_field() == 400);
  const std::map<int64_t, int64_t> frames = {{399, 0}, {400, 1}, {719, 1}, {720, 2}, {16000, 49}, {93680, 292}, {160000, 499}};
  for (const auto& [samples, count] : frames) CHECK(c.frames(samples) == count);
  CHECK(c.states(499) == 499);
  c.add_adapter = true;
  CHECK(c.states(499) == 63);
  CHECK(c.states(1) == 1);
}

TEST_CASE("wav2vec2: impossible sizes are refused by name") {
  const std::vector<std::pair<std::string, std::string>> wrong = {
      {"num_attention_heads", "5"},        {"num_hidden_layers", "0"},     {"conv_stride", "[5, 2]"},  {"num_conv_pos_embedding_groups", "7"}, {"feat_extract_norm", "batch"},
      {"hidden_act", "swish"},             {"hidden_size", "1000000000"},  {"hidden_dropout", "1"},    {"mask_time_prob", "1.5"},              {"ctc_loss_reduction", "none"},
      {"num_codevector_groups", "3"},      {"adapter_attn_dim", "4"},      {"layer_norm_eps", "0"},    {"adapter_stride", "0"},                {"contrastive_logits_temperature", "0"}};
  for (const auto& [key, value] : wrong) {
    CAPTURE(key);
    Config file;
    file.set(key, value);
    Wav2Vec2Config c;
    c.fields(file);
    try {
      c.check();
      FAIL("accepted");
    } catch (const Error& e) {
      CHECK(std::string(e.what()).find(key) != std::string::npos);
    }
  }
}

TEST_CASE("wav2vec2: padding behind an item does not change it when every layer normalises over channels") {
  Wav2Vec2Config c = small_wav2vec2();
  c.feat_extract_norm = "layer", c.do_stable_layer_norm = true;
  Wav2Vec2 model(Context::cpu(), c, RandomKey{3});
  const Tensor wave = noise({1, 900}, 4), padded = Context::cpu().zeros({2, 1500}, DType::f32);
  padded.slice(0, 0, 1).slice(1, 0, 900).copy_from(wave);
  padded.slice(0, 1, 2).copy_from(noise({1, 1500}, 5));
  const auto alone = model.forward(wave, {}, {}), together = model.forward(padded, {900, 1500}, {});
  const std::vector<float> want = alone.states.value().values<float>(), got = together.states.value().slice(0, 0, 1).slice(1, 0, alone.lengths[0]).values<float>();
  REQUIRE(got.size() == want.size());
  for (size_t i = 0; i < want.size(); ++i) CHECK(got[i] == doctest::Approx(want[i]).epsilon(1e-4));
  CHECK_THROWS_AS(model.forward(padded, {50, 1500}, {}), Error);   // too short for a frame
}

TEST_CASE("wav2vec2: a training step is a function of its key; layers are dropped, masks drawn, frozen features get no gradient") {
  Wav2Vec2Config c = small_wav2vec2();
  c.mask_time_prob = 0.5, c.mask_feature_prob = 0.3, c.layerdrop = 0.5, c.mask_feature_length = 2;
  Wav2Vec2ForCTC model(Context::cpu(), c, RandomKey{3});
  freeze(model, {"wav2vec2.feature_extractor"});
  const Tensor wave = noise({2, 1500}, 4);
  const std::vector<int64_t> ids = {1, 2, 2, -100, 3, 0, 4, 5};
  const Tensor labels = Context::cpu().from(ids.data(), {2, 4});
  auto loss = [&](uint64_t seed) {
    Tape tape;
    const auto out = model.forward(wave, {1500, 1100}, labels, {}, {.tape = &tape, .key = RandomKey{seed}, .training = true});
    tape.backward(out.loss);
    return out.loss.value().item();
  };
  const double first = loss(1);
  CHECK(std::isfinite(first));
  CHECK(loss(1) == first);
  CHECK(loss(2) != first);
  for (uint64_t seed = 3; seed < 12; ++seed) loss(seed);     // a layer that one step drops, another trains
  model.visit("", [&](const std::string& name, Parameter& p) {
    CAPTURE(name);
    CHECK(bool(p.grad) == !name.starts_with("wav2vec2.feature_extractor"));
  });
  c.gradient_checkpointing = true;
  Wav2Vec2ForCTC again(Context::cpu(), c, RandomKey{3});
  Tape tape;
  CHECK(again.forward(wave, {1500, 1100}, labels, {}, {.tape = &tape, .key = RandomKey{1}, .training = true}).loss.value().item() == first);
}

TEST_CASE("wav2vec2: the convolutions of a fresh model neither shrink nor blow up the wave") {
  Wav2Vec2Config c;
  c.conv_dim = std::vector<int64_t>(7, 48);
  c.hidden_size = 16, c.num_hidden_layers = 1, c.num_attention_heads = 2, c.intermediate_size = 16;
  c.num_conv_pos_embeddings = 4, c.num_conv_pos_embedding_groups = 2;
  Wav2Vec2 model(Context::cpu(), c, RandomKey{7});
  Draw draw(RandomKey{1});
  std::vector<float> wave(8000);
  for (float& x : wave) x = float(draw.normal());
  double squares = 0;
  const auto features = model.forward(Context::cpu().from(wave.data(), {1, 8000}), {}, {}).conv_features.value().values<float>();
  for (const float x : features) squares += double(x) * x;
  const double size = std::sqrt(squares / double(features.size()));
  CHECK(size > 0.1);
  CHECK(size < 3);
}
