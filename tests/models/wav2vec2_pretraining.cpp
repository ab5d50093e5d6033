// Pre-training against Hugging Face's on the same file, mask, negatives and noise; and the random choices by their own rules.
#include <doctest/doctest.h>

#include <set>

#include "engine/ops/codebook.h"
#include "models/wav2vec2/pretraining.h"
#include "models/wav2vec2/sampling.h"
#include "nn/optimizer.h"
#include "tests/models/wav2vec2.h"

using namespace alinea;

namespace {

void check_case(const GoldenCase& golden, const std::string& prefix, bool training) {
  CAPTURE(prefix);
  auto model = load<Wav2Vec2ForPreTraining>(golden, config_of(golden));
  Tape tape;
  const auto out = model.forward(golden.input("input_values"), golden.lengths("sample_lengths"),
                                 {.mask = golden.input("mask_time_indices"),
                                  .negatives = golden.input("sampled_negative_indices"),
                                  .noise = golden.input("gumbel_noise"),
                                  .temperature = golden.settings().at("gumbel_temperature")},
                                 {.tape = &tape, .training = training});
  golden.check(prefix + "loss", out.loss.value());
  golden.check(prefix + "contrastive_loss", out.contrastive.value());
  golden.check(prefix + "diversity_loss", out.diversity.value());
  golden.check(prefix + "codevector_perplexity", out.perplexity.value());
  golden.check(prefix + "projected_states", out.states.value());
  golden.check(prefix + "projected_quantized_states", out.quantized.value());
  tape.backward(out.loss);
  golden.check_gradients(model, prefix + "grad");
}

}  // namespace

TEST_CASE("wav2vec2 pre-training: hard codes") { check_case(GoldenCase("w2v2_pretrain"), "eval.", false); }

TEST_CASE("wav2vec2 pre-training: Gumbel noise, straight-through gradients") {
  const GoldenCase golden("w2v2_pretrain");
  check_case(golden, "train.", true);
}

TEST_CASE("codebook: the gumbel choice has the value of the largest noisy logit and the gradient of the soft one") {
  const Tensor logits = noise({5, 12}, 1), vectors = noise({1, 12, 3}, 2), shake = noise({5, 12}, 3), g = noise({5, 6}, 4);
  auto run = [&](Codebook::Choice choice) {
    const Codebook op{choice, 2, 0.8};
    Codebook::Saved kept;
    const Tensor y = op.forward(logits, vectors, shake, &kept);
    return std::pair{y, op.backward(std::move(kept), g.clone(), {})[0]};
  };
  const auto gumbel = run(Codebook::Choice::gumbel), soft = run(Codebook::Choice::soft);
  CHECK(gumbel.second.values<float>() == soft.second.values<float>());
  const std::vector<float> l = logits.values<float>(), n = shake.values<float>(), c = vectors.values<float>(), y = gumbel.first.values<float>();
  for (size_t r = 0; r < 5; ++r)
    for (size_t group = 0; group < 2; ++group) {
      size_t best = group * 6;
      for (size_t v = group * 6; v < group * 6 + 6; ++v)
        if (l[r * 12 + v] + n[r * 12 + v] > l[r * 12 + best] + n[r * 12 + best]) best = v;
      for (size_t e = 0; e < 3; ++e) CHECK(y[r * 6 + group * 3 + e] == c[best * 3 + e]);
    }
}

TEST_CASE("span masks: as many spans as the rule says, inside each row, the same for the same key") {
  const SpanMask spans{.probability = 0.65, .length = 10, .min_spans = 2};
  const std::vector<int32_t> sizes = {500, 300, 25, 9};
  const Tensor mask = spans.draw(4, 500, sizes, RandomKey{1});
  CHECK(mask.values<uint8_t>() == spans.draw(4, 500, sizes, RandomKey{1}).values<uint8_t>());
  CHECK(mask.values<uint8_t>() != spans.draw(4, 500, sizes, RandomKey{2}).values<uint8_t>());
  const std::vector<uint8_t> m = mask.values<uint8_t>();
  for (size_t row = 0; row < 4; ++row) {
    const size_t n = size_t(sizes[row]);
    const auto begin = m.begin() + int64_t(row * 500);
    CHECK(std::count(begin + int64_t(n), begin + 500, 1) == 0);
    const int64_t masked = std::count(begin, begin + int64_t(n), 1);
    if (row == 3) CHECK(masked == 0);                        // too short for a span
    else CHECK(masked >= 11);                                // two distinct starts at least
    CHECK(masked <= int64_t(0.65 * double(n)) + 20);
  }
  // Far from overlapping everything: 32 or 33 spans of 10 over 500 frames leave 51 % in expectation.
  int64_t total = 0;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    const std::vector<uint8_t> one = spans.draw(1, 500, {}, RandomKey{seed}).values<uint8_t>();
    total += std::count(one.begin(), one.end(), 1);
  }
  CHECK(double(total) / 200 / 500 == doctest::Approx(0.487).epsilon(0.02));
}

TEST_CASE("negatives: other masked frames of the same utterance, all of them in time") {
  std::vector<uint8_t> m(2 * 40, 0);
  for (const size_t t : {3, 7, 8, 20, 39}) m[t] = 1;
  m[40 + 5] = 1;                                            // alone: its negatives are itself
  const Tensor chosen = sample_negatives(Context::cpu().from(m.data(), {2, 40}), 200, RandomKey{5});
  const std::vector<int64_t> j = chosen.values<int64_t>();
  for (size_t n = 0; n < m.size(); ++n) {
    const std::set<int64_t> seen(j.begin() + int64_t(n * 200), j.begin() + int64_t(n * 200 + 200));
    if (!m[n]) CHECK(seen == std::set<int64_t>{0});
    else if (n == 45) CHECK(seen == std::set<int64_t>{45});
    else CHECK(seen.size() == 4);
    if (m[n] && n != 45)
      for (const int64_t k : seen) CHECK((k != int64_t(n) && k < 40 && m[size_t(k)]));
  }
}

TEST_CASE("Gumbel noise has its mean and variance; the temperature falls to its floor") {
  const std::vector<float> g = gumbel_noise(Context::cpu(), {40000}, RandomKey{2}).values<float>();
  double mean = 0, square = 0;
  for (const float x : g) mean += x, square += double(x) * x;
  mean /= double(g.size());
  CHECK(mean == doctest::Approx(0.5772).epsilon(0.03));
  CHECK(square / double(g.size()) - mean * mean == doctest::Approx(1.6449).epsilon(0.05));
  const TemperatureSchedule schedule;
  CHECK(schedule.at(0) == 2);
  CHECK(schedule.at(100000) == doctest::Approx(2 * std::pow(0.999995, 100000)));
  CHECK(schedule.at(1000000) == 0.5);
}

TEST_CASE("wav2vec2 pre-training learns to tell frames apart") {
  Wav2Vec2Config c = small_wav2vec2();
  c.mask_time_prob = 0.4, c.layerdrop = 0, c.hidden_dropout = 0, c.activation_dropout = 0, c.attention_dropout = 0;
  Wav2Vec2ForPreTraining model(Context::cpu(), c, RandomKey{1});
  FlatParameters parameters(model);
  Optimizer optimizer(parameters, {.clip = 1});
  // A slow sweep of tones: frames differ, and neighbours tell what is missing.
  std::vector<float> wave(2 * 3000);
  for (size_t i = 0; i < wave.size(); ++i) wave[i] = float(std::sin(0.02 * double(i % 3000) + 1e-4 * double(i % 3000) * double(i % 3000) * (i < 3000 ? 1 : 0.6)));
  const Tensor samples = Context::cpu().from(wave.data(), {2, 3000});
  double first = 0, last = 0;
  for (int64_t step = 1; step <= 60; ++step) {
    optimizer.zero_grad();
    Tape tape;
    const auto out = model.forward(samples, {}, {.temperature = TemperatureSchedule{}.at(step), .feature_penalty = 0.01}, {&tape, RandomKey{9}.child(uint64_t(step)), true});
    CHECK(out.masked > 0);
    tape.backward(out.loss, 1 / double(out.masked));
    optimizer.step(3e-3, step, optimizer.gradient_norm());
    const double each = out.contrastive.value().item() / double(out.masked);
    if (step <= 5) first += each / 5;
    if (step > 55) last += each / 5;
  }
  CHECK(first > 1.2);
  CHECK(last < 0.85 * first);
}
