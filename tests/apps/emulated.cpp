// Training and decoding on the emulated GPU: how often the host waits for it.
#include <doctest/doctest.h>

#include <cmath>

#include "apps/task.h"
#include "engine/emulation/cuda_runtime.h"
#include "models/hub/model_directory.h"
#include "models/s2t_transformer.h"
#include "nn/optimizer.h"
#include "tests/golden.h"

using namespace alinea;

namespace {

S2TConfig small(bool policy) {
  S2TConfig c;
  c.input_bins = 8, c.d_model = 16, c.heads = 2, c.ffn = 32, c.encoder_layers = 1, c.decoder_layers = 1;
  c.source_words = 5, c.target_words = 7, c.max_positions = 64;
  c.has_policy = policy, c.policy.depth = 1;
  if (policy) c.attention.decoder_cross = "monotonic";
  return c;
}

// Sounds are on the GPU, ids and labels on the host, as in training.
S2TBatch batch_of(const S2TConfig& c, Context& gpu) {
  constexpr int64_t B = 2, F = 64, T = 3;
  const std::vector<int64_t> in{1, 2, 3, 1, 4, 5}, out{2, 3, 1, 4, 5, 1}, frames(size_t(B * F / c.frames_per_state()), 1);
  S2TBatch b{.features = gpu.full({B, F, c.input_bins}, DType::f32, 0.5)};
  b.frames = {F, F - 9}, b.target_lengths = {T, T};
  b.decoder_in = Context::cpu().from(in.data(), {B, T}), b.labels = Context::cpu().from(out.data(), {B, T});
  b.frame_labels = Context::cpu().from(frames.data(), {B, int64_t(frames.size()) / B});
  return b;
}

}  // namespace

TEST_CASE("training: a step on a GPU is handed over without waiting, and its numbers are read together") {
  Context& gpu = Context::cuda();
  for (const bool policy : {false, true}) {
    const S2TConfig c = small(policy);
    S2TTransformer model(gpu, c, RandomKey{3});
    FlatParameters parameters(model);
    Optimizer optimizer(parameters, {});
    const S2TBatch batch = batch_of(c, gpu);
    auto weights = parameters.values.values<float>();
    const int64_t before = emulation::waits();
    Tape tape;
    optimizer.zero_grad();
    const S2TLoss loss = model.loss(batch, policy ? CrossAttention::monotonic : CrossAttention::full, {.frame = 0.5, .latency = 0.1, .variance = 0.1},
                                    {.tape = &tape, .key = RandomKey{4}, .training = true});
    tape.backward(loss.total);
    const Tensor norm = optimizer.gradient_norm();
    optimizer.step(1e-3, 1, norm);
    CHECK(emulation::waits() == before);
    const auto figures = read_figures({loss.total.value(), loss.cross_entropy, loss.frame, loss.latency, loss.variance, 2.5, norm});
    CHECK(emulation::waits() == before + 1);
    CHECK(figures[0] == loss.total.value().item());
    CHECK(figures[1] > 0);
    CHECK((figures[4] != 0) == policy);
    CHECK(figures[5] == 2.5);
    CHECK(figures[6] == norm.item());
    CHECK(parameters.values.values<float>() != weights);
    weights = parameters.values.values<float>();
    optimizer.step(1e-3, 2, gpu.full({}, DType::f64, INFINITY));
    CHECK(parameters.values.values<float>() == weights);
  }
}

TEST_CASE("decoding: a step on a GPU waits once, for the tokens it has found, and once more where rules change their scores") {
  Context& gpu = Context::cuda();
  const auto model = load_text_model(golden("hf/mbart"), gpu);
  const std::vector<int64_t> ids{5, 6, 7, 2};
  const Tensor source = Context::cpu().from(ids.data(), {1, 4});
  for (const int64_t beams : {1, 3})
    for (const double penalty : {1.0, 1.3}) {
      CAPTURE(beams);
      auto waits = [&](int64_t tokens) {
        const int64_t before = emulation::waits();
        const Generation g = model->translate(source, {4}, {.num_beams = beams, .max_new_tokens = tokens, .repetition_penalty = penalty, .eos_token_id = {model->config().target_words - 1}});
        REQUIRE(g.tokens(0).size() == size_t(tokens));
        return emulation::waits() - before;
      };
      CHECK(waits(9) - waits(5) == (penalty == 1 ? 4 : 8));
    }
}
