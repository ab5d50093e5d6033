#include <doctest/doctest.h>

#include <cmath>

#include "models/simultaneous.h"
#include "nn/optimizer.h"

using namespace alinea;

namespace {

S2TConfig small(bool policy = false, int64_t policy_heads = 1) {
  S2TConfig c;
  c.input_bins = 12, c.d_model = 16, c.heads = 2, c.ffn = 32, c.encoder_layers = 2, c.decoder_layers = 2;
  c.source_words = 7, c.target_words = 11, c.max_positions = 64;
  c.has_policy = policy;
  c.policy.heads = policy_heads, c.policy.depth = 2;
  if (policy) c.attention.decoder_cross = "monotonic";
  return c;
}

Tensor random(const Shape& shape, RandomKey key) {
  Draw draw(key);
  std::vector<float> v(size_t(shape.count()));
  for (float& x : v) x = float(draw.normal());
  return Context::cpu().from(v.data(), shape);
}

S2TBatch batch_of(const S2TConfig& c, int64_t B, RandomKey key) {
  Draw draw(key);
  const int64_t F = 96, T = 6, S = F / c.frames_per_state();
  S2TBatch b{.features = random({B, F, c.input_bins}, key.child("features"))};
  std::vector<int64_t> in(size_t(B * T), 0), out(size_t(B * T), -100), frame(size_t(B * S), -100);
  for (int64_t i = 0; i < B; ++i) {
    b.frames.push_back(int32_t(F - 9 * i));
    const int64_t n = T - i % 3;
    b.target_lengths.push_back(int32_t(n));
    for (int64_t t = 0; t < n; ++t) {
      in[size_t(i * T + t)] = t == 0 ? 1 : out[size_t(i * T + t - 1)];
      out[size_t(i * T + t)] = t == n - 1 ? 1 : draw.integer(2, c.target_words - 1);
    }
    for (int64_t s = 0; s < S; ++s) frame[size_t(i * S + s)] = s % 3 == 0 ? -100 : draw.integer(0, c.source_words - 1);
  }
  b.decoder_in = Context::cpu().from(in.data(), {B, T});
  b.labels = Context::cpu().from(out.data(), {B, T});
  b.frame_labels = Context::cpu().from(frame.data(), {B, S});
  return b;
}

LossConfig terms() { return {.smoothing = 0.1, .frame = 1, .latency = 0.3, .variance = 0.2}; }

}  // namespace

TEST_CASE("the untrained model predicts every word about equally: cross entropy near ln V") {
  const S2TConfig c = small();
  S2TTransformer model(Context::cpu(), c, RandomKey{3});
  const S2TLoss loss = model.loss(batch_of(c, 3, RandomKey{4}), CrossAttention::full, {.smoothing = 0, .frame = 0}, {});
  CHECK(loss.cross_entropy.item() == doctest::Approx(std::log(double(c.target_words))).epsilon(0.35));
}

TEST_CASE("gradients of a whole step equal central differences in double, offline and EMMA") {
  struct Variant {
    int64_t policy_heads = 0;
    std::string norm = "pre", stem = "relu_norm", activation = "relu", pooling = "mean", metric = "AL";
    bool checkpointing = false;
  };
  for (const Variant& variant : {Variant{}, Variant{.policy_heads = 1}, Variant{.policy_heads = 2, .pooling = "softmax", .metric = "DAL"}, Variant{.policy_heads = 2, .pooling = "max", .checkpointing = true},
                                 Variant{.norm = "post", .stem = "glu", .activation = "gelu"}, Variant{.policy_heads = 1, .stem = "conv2d"}}) {
    const int64_t policy_heads = variant.policy_heads;
    CAPTURE(policy_heads);
    CAPTURE(variant.norm);
    const bool emma = policy_heads > 0;
    S2TConfig c = small(emma, emma ? policy_heads : 1);
    c.norm = variant.norm, c.stem.kind = variant.stem, c.activation = variant.activation, c.activation_checkpointing = variant.checkpointing;
    c.stem.channels = 12;
    S2TTransformer model(Context::cpu(), c, RandomKey{5});
    model.visit("", [](const std::string&, Parameter& p) { p.value = p.value.to(DType::f64).clone(); });
    S2TBatch batch = batch_of(c, 2, RandomKey{6});
    batch.features = batch.features.to(DType::f64);
    const CrossAttention cross = emma ? CrossAttention::monotonic : CrossAttention::full;
    LossConfig weights = terms();
    weights.latency_pooling = variant.pooling, weights.latency_metric = variant.metric;
    auto loss = [&](Tape* tape) { return model.loss(batch, cross, weights, {.tape = tape}); };
    Tape tape;
    tape.backward(loss(&tape).total);
    Draw draw(RandomKey{uint64_t(policy_heads + 8)});
    std::vector<std::pair<std::string, Parameter*>> parameters;
    model.visit("", [&](const std::string& name, Parameter& p) { parameters.emplace_back(name, &p); });
    for (int i = 0; i < 20; ++i) {
      const auto& [name, p] = parameters[size_t(draw.integer(0, int64_t(parameters.size()) - 1))];
      CAPTURE(name);
      REQUIRE(bool(p->grad));
      const int64_t e = draw.integer(0, p->value.count() - 1);
      double* x = p->value.data<double>() + e;
      const double old = *x, h = 1e-5;
      // Evaluated with a tape, so that the frame loss (which a frozen encoder skips) is part of the value.
      auto at = [&](double v) {
        *x = v;
        Tape t;
        return loss(&t).total.value().item();
      };
      const double numeric = (8 * (at(old + h) - at(old - h)) - (at(old + 2 * h) - at(old - 2 * h))) / (12 * h);
      *x = old;
      CHECK(p->grad.data<double>()[e] == doctest::Approx(numeric).epsilon(1e-6).scale(1));
    }
  }
}

TEST_CASE("activation checkpointing changes memory, not values: same loss and gradients with dropout on") {
  std::vector<std::vector<float>> gradients;
  std::vector<int64_t> peaks;
  for (const bool checkpointing : {false, true}) {
    S2TConfig c = small();
    c.activation_checkpointing = checkpointing;
    S2TTransformer model(Context::cpu(), c, RandomKey{5});
    FlatParameters flat(model);
    const S2TBatch batch = batch_of(c, 3, RandomKey{6});
    Tape tape;
    const S2TLoss loss = model.loss(batch, CrossAttention::full, terms(), {.tape = &tape, .key = RandomKey{7}, .training = true});
    peaks.push_back(Context::cpu().memory().live);
    tape.backward(loss.total);
    gradients.push_back(flat.grads.values<float>());
  }
  CHECK(gradients[0] == gradients[1]);
  CHECK(peaks[1] < peaks[0]);
}

TEST_CASE("every trainable parameter gets a gradient, frozen ones none") {
  const S2TConfig c = small(true);
  S2TTransformer model(Context::cpu(), c, RandomKey{5});
  freeze(model, {"model.encoder", "frame_classifier"});
  FlatParameters flat(model);
  Tape tape;
  tape.backward(model.loss(batch_of(c, 3, RandomKey{6}), CrossAttention::monotonic, terms(), {.tape = &tape}).total);
  for (const auto& e : flat.entries) {
    CAPTURE(e.path);
    double sum = 0;
    for (const float g : e.parameter->grad.values<float>()) sum += std::abs(g);
    CHECK(sum > 0);
  }
  model.visit("", [](const std::string& name, Parameter& p) {
    CAPTURE(name);
    CHECK(p.trainable == !(name.starts_with("model.encoder") || name.starts_with("frame_classifier")));
    CHECK(bool(p.grad) == p.trainable);
  });
}

TEST_CASE("freezing takes patterns, and what `train` names is trained all the same") {
  S2TTransformer model(Context::cpu(), small(true), RandomKey{5});
  freeze(model, {"*"}, {"*layer_norm", "model.encoder.layers.*.self_attn.v"});
  std::vector<std::string> trained;
  model.visit("", [&](const std::string& name, Parameter& p) {
    CAPTURE(name);
    CHECK(p.trainable == (name.find("layer_norm") != std::string::npos || (name.starts_with("model.encoder.layers.") && name.find(".self_attn.v_proj.") != std::string::npos)));
    if (p.trainable) trained.push_back(name);
  });
  CHECK(trained.size() == 4 * 2 + 2 * 2 + 6 * 2 + 2 * 2);   // norms of encoder and decoder layers, the final ones, v_proj
  CHECK_THROWS_WITH_AS(freeze(model, {"*.norm_layer"}), "freeze: no parameter's name starts with '*.norm_layer'", Error);
  CHECK_THROWS_WITH_AS(freeze(model, {"*"}, {"encoder"}), "train: no parameter's name starts with 'encoder'", Error);
}

TEST_CASE("a Conv2d stem has PyTorch's number of weights, trains every one of them and cannot be streamed") {
  S2TConfig c = small();
  c.input_bins = 13, c.stem = {.kind = "conv2d", .layers = 2, .kernel = 3, .channels = 6};
  CHECK(!c.streamable());
  S2TTransformer model(Context::cpu(), c, RandomKey{5});
  int64_t weights = 0;
  model.encoder().visit("", [&](const std::string& name, Parameter& p) { weights += name.starts_with("stem.") ? p.value.count() : 0; });
  CHECK(weights == (9 * 6 + 6) + (9 * 6 * 6 + 6) + (4 * 6 * 16 + 16));           // 13 bins, 7, 4
  FlatParameters flat(model);
  Optimizer optimizer(flat, OptimizerConfig{});
  const S2TBatch batch = batch_of(c, 3, RandomKey{6});
  Tape tape;
  tape.backward(model.loss(batch, CrossAttention::full, terms(), {.tape = &tape}).total);
  model.encoder().visit("", [](const std::string& name, Parameter& p) {
    CAPTURE(name);
    const auto g = p.grad.values<double>();
    CHECK(std::any_of(g.begin(), g.end(), [](double x) { return x != 0; }));
  });
  const auto before = flat.values.values<float>();
  optimizer.step(1e-3, 1, optimizer.gradient_norm());
  CHECK(flat.values.values<float>() != before);
  CHECK_THROWS_AS(model.encoder().begin(8), Error);
  c.stem.kernel = 4;
  CHECK_THROWS_AS(S2TTransformer(Context::cpu(), c, RandomKey{5}), Error);
}

TEST_CASE("one batch is learnt by heart") {
  const S2TConfig c = small();
  S2TTransformer model(Context::cpu(), c, RandomKey{5});
  FlatParameters flat(model);
  OptimizerConfig oc;
  oc.lr = 5e-3, oc.weight_decay = 0;
  Optimizer optimizer(flat, oc);
  const S2TBatch batch = batch_of(c, 3, RandomKey{6});
  double first = 0, last = 0;
  for (int step = 1; step <= 150; ++step) {
    Tape tape;
    optimizer.zero_grad();
    const S2TLoss loss = model.loss(batch, CrossAttention::full, {.smoothing = 0, .frame = 0.1}, {.tape = &tape});
    (step == 1 ? first : last) = loss.cross_entropy.item();
    tape.backward(loss.total);
    optimizer.step(oc.lr, step, optimizer.gradient_norm());
  }
  CHECK(first > 1);
  CHECK(last < 0.05);
}

TEST_CASE("streamed encoder states equal those of the whole utterance") {
  const S2TConfig c = small();
  S2TTransformer model(Context::cpu(), c, RandomKey{5});
  const Tensor features = random({1, 88, c.input_bins}, RandomKey{9});
  const auto whole = model.encoder().forward(features, {88}, {});
  const auto expected = whole.states.value().values<float>();
  auto stream = model.encoder().begin(64);
  std::vector<float> got;
  for (int64_t at = 0; at < 88; at += 16) {
    const auto piece = model.encoder().push(stream, features.slice(1, at, std::min<int64_t>(88, at + 16)).clone()).values<float>();
    got.insert(got.end(), piece.begin(), piece.end());
  }
  REQUIRE(got.size() == expected.size());
  for (size_t i = 0; i < got.size(); ++i) CHECK(got[i] == doctest::Approx(expected[i]).epsilon(1e-4).scale(1));
}

TEST_CASE("a state does not depend on anything after its chunk") {
  const S2TConfig c = small();
  S2TTransformer model(Context::cpu(), c, RandomKey{5});
  const Tensor features = random({1, 96, c.input_bins}, RandomKey{9}), changed = features.clone();
  for (int64_t i = 48 * c.input_bins; i < changed.count(); ++i) changed.data<float>()[i] += 3;
  const auto a = model.encoder().forward(features, {96}, {}).states.value().slice(1, 0, 6).values<float>();
  const auto b = model.encoder().forward(changed, {96}, {}).states.value().slice(1, 0, 6).values<float>();
  CHECK(a == b);
}

TEST_CASE("streaming with the whole source given first equals offline greedy decoding, cached and recomputed") {
  const S2TConfig c = small();
  S2TTransformer model(Context::cpu(), c, RandomKey{11});
  const Tensor features = random({2, 96, c.input_bins}, RandomKey{12});
  const std::vector<int32_t> frames{96, 70};
  const Generation offline = model.translate(features, frames, {.max_new_tokens = 12});
  const auto encoded = model.encoder().forward(features, frames, {});
  for (const bool recompute : {false, true})
    for (int64_t b = 0; b < 2; ++b) {
      StreamOptions options{.policy = StreamOptions::Policy::offline, .max_tokens = 12, .recompute = recompute};
      SimultaneousDecoder decoder(model, options, 64);
      decoder.push(encoded.states.value().slice(0, b, b + 1).slice(1, 0, encoded.lengths[size_t(b)]).compact());
      decoder.finish();
      CHECK(decoder.tokens() == offline.tokens(size_t(b)));
    }
}

TEST_CASE("streaming is append-only, honours the threshold and names who held a word back") {
  const S2TConfig c = small(true, 2);
  S2TTransformer model(Context::cpu(), c, RandomKey{13});
  const auto encoded = model.encoder().forward(random({1, 160, c.input_bins}, RandomKey{14}), {160}, {});
  for (const double threshold : {0.0, 0.05, 0.2, 1.1}) {
    SimultaneousDecoder decoder(model, {.threshold = threshold, .max_tokens = 8}, 64);
    std::vector<int32_t> before;
    bool waited = false, wrote = false;
    for (int64_t at = 0; at < 20; at += 2) {
      for (const Decision& d : decoder.push(encoded.states.value().slice(1, at, at + 2).compact())) {
        REQUIRE(d.votes.size() == 4);
        double smallest = 2;
        for (const PolicyVote& v : d.votes) smallest = std::min(smallest, v.p);
        CHECK(d.p == smallest);
        CHECK(d.slowest.p == smallest);
        if (d.write) CHECK(d.p >= threshold);
        (d.write ? wrote : waited) = true;
        CHECK(d.states_read == at + 2);
      }
      const auto& now = decoder.tokens();
      REQUIRE(now.size() >= before.size());
      CHECK(std::equal(before.begin(), before.end(), now.begin()));
      before = now;
    }
    decoder.finish();
    CHECK(std::equal(before.begin(), before.end(), decoder.tokens().begin()));
    if (threshold > 1) CHECK((waited && !wrote));
  }
}

TEST_CASE("wait-k writes token i after (i + k) · ratio states") {
  const S2TConfig c = small();
  S2TTransformer model(Context::cpu(), c, RandomKey{15});
  const auto encoded = model.encoder().forward(random({1, 160, c.input_bins}, RandomKey{16}), {160}, {});
  SimultaneousDecoder decoder(model, {.policy = StreamOptions::Policy::waitk, .wait_k = 2, .ratio = 4, .max_tokens = 8}, 64);
  for (int64_t at = 0; at < 20; at += 2)
    for (const Decision& d : decoder.push(encoded.states.value().slice(1, at, at + 2).compact()))
      if (d.write) CHECK(d.states_read >= (d.index + 2) * 4);
      else CHECK((d.states_read < (d.index + 2) * 4 || d.token == c.eos_token));
}

TEST_CASE("impossible sizes are refused by name") {
  S2TConfig c = small();
  c.heads = 3;
  CHECK_THROWS_WITH_AS(S2TTransformer(Context::cpu(), c, RandomKey{1}), "model: heads 3 must divide d_model 16", Error);
  S2TTransformer offline(Context::cpu(), small(), RandomKey{1});
  CHECK_THROWS_AS(SimultaneousDecoder(offline, {}, 8), Error);
}
