#include "models/hub/speech_to_text.h"

#include <doctest/doctest.h>

#include "models/hub/model_directory.h"
#include "models/shift.h"
#include "tests/golden_case.h"

using namespace alinea;

namespace {

S2TBatch batch_of(const GoldenCase& c, const S2TConfig& config) {
  S2TBatch b{.features = c.input("input_features"), .labels = c.input("labels")};
  const Tensor mask = c.input("attention_mask");
  const auto ones = mask.values<int32_t>();
  b.frames.assign(size_t(mask.size(0)), 0);
  for (size_t i = 0; i < ones.size(); ++i) b.frames[i / size_t(mask.size(1))] += ones[i];
  b.decoder_in = shift_right(b.labels, config.bos_token, config.pad_token);
  b.target_lengths.assign(size_t(b.labels.size(0)), int32_t(b.labels.size(1)));
  return b;
}

LossConfig plain() { return {.smoothing = 0, .frame = 0}; }

}  // namespace

TEST_CASE("Speech2Text: subsampling, states, logits, loss and gradients are those of transformers") {
  const GoldenCase c("s2t");
  const auto model = load_model(c.directory(), Context::cpu());
  const S2TBatch batch = batch_of(c, model->config());
  c.check("subsampled", model->encoder().run_stem(batch.features, nullptr).value());
  const auto out = model->forward(batch, {}, true);
  const std::vector<int64_t> lengths(out.lengths.begin(), out.lengths.end());
  c.check("subsampled_lengths", Context::cpu().from(lengths.data(), {int64_t(lengths.size())}));
  c.check("encoder_last_hidden_state", out.states.value());
  REQUIRE(out.encoder_hidden.size() == 3);
  for (size_t i = 0; i < 3; ++i) c.check(fmt::format("encoder_hidden_states.{}", i), out.encoder_hidden[i].value());
  c.check("logits", out.logits.value());
  c.check("loss", model->loss(batch, CrossAttention::full, plain(), {}).total.value());
  FlatParameters flat(*model);
  Tape tape;
  tape.backward(model->loss(batch, CrossAttention::full, plain(), {.tape = &tape}).total);
  c.check_gradients(*model);
}

TEST_CASE("fairseq's sinusoids: halves, from the row behind padding, whose row is zero") {
  const GoldenCase c("s2t");
  const Tensor want = c.expected("sinusoid");
  const Tensor all = sinusoid(Context::cpu(), 0, 40, want.size(1), PositionLayout::halves);
  all.slice(0, 1, 2).zero();
  c.check("sinusoid", all);
  TransformerConfig config("test");
  config.d_model = want.size(1), config.positions = "fairseq", config.pad_token = 1, config.max_positions = 38;
  Positions positions(Context::cpu(), config, RandomKey{1});
  const Tensor zeros = Context::cpu().zeros({2, 3, want.size(1)}, DType::f32);
  const Tensor y = positions.add_to(zeros, 4, {true, true, true, true, false, true}, nullptr).value();
  const auto row = [&](int64_t b, int64_t t) { return y.slice(0, b, b + 1).slice(1, t, t + 1).values<float>(); };
  const auto table = [&](int64_t i) { return all.slice(0, i, i + 1).values<float>(); };
  CHECK(row(0, 0) == table(6));
  CHECK(row(0, 2) == table(8));
  CHECK(row(1, 1) == table(1));
  CHECK(row(1, 2) == table(7));
  CHECK_THROWS_AS(positions.add_to(zeros, 36, {}, nullptr), Error);
}

TEST_CASE("Speech2Text: a saved directory has every key of the one that was opened, and the configuration refuses what is not supported") {
  const GoldenCase c("s2t");
  const auto model = load_model(c.directory(), Context::cpu());
  const auto folder = std::filesystem::temp_directory_path() / fmt::format("alinea_s2t_{}", getpid());
  save_model(folder, *model);
  const auto before = nlohmann::json::parse(std::ifstream(c.file("config.json"))), after = nlohmann::json::parse(std::ifstream(folder / "config.json"));
  for (const auto& [key, value] : before.items()) {
    CAPTURE(key);
    CHECK(after.value(key, nlohmann::json("missing")) == value);
  }
  const auto again = load_model(folder, Context::cpu());
  c.check("logits", again->forward(batch_of(c, again->config()), {}).logits.value());
  std::filesystem::remove_all(folder);
  Speech2TextConfig uneven;
  uneven.conv_kernel_sizes = {5, 3};
  CHECK_THROWS_WITH_AS(uneven.speech(), "speech_to_text: conv_kernel_sizes has 5 and 3; only odd kernels of one size are supported", Error);
  S2TConfig ours;
  ours.model_type = "speech_to_text", ours.target_words = 20;
  CHECK_THROWS_AS(S2TTransformer(Context::cpu(), ours, RandomKey{1}), Error);
}
