#include <doctest/doctest.h>

#include <cmath>

#include "engine/ops/softmax.h"
#include "models/text_transformer.h"
#include "nn/optimizer.h"

using namespace alinea;

namespace {

TextConfig small(bool share = false) {
  TextConfig c;
  c.d_model = 16, c.heads = 2, c.ffn = 32, c.source_words = 13, c.target_words = share ? 13 : 11, c.max_positions = 32,
  c.share_embeddings = share;
  return c;
}

std::vector<int64_t> ids(int64_t count, int64_t words, uint64_t seed) {
  Draw draw(RandomKey{seed});
  std::vector<int64_t> v(static_cast<size_t>(count));
  for (int64_t& x : v) x = draw.integer(2, words - 1);
  return v;
}

// Three sentences of different lengths.
TextBatch batch_of(const TextConfig& c) {
  const int64_t B = 3, S = 7, T = 6;
  auto source = ids(B * S, c.source_words, 1), tokens = ids(B * T, c.target_words, 2);
  std::vector<int64_t> in(size_t(B * T), 0), out(size_t(B * T), -100);
  TextBatch b;
  for (int64_t i = 0; i < B; ++i) {
    const int64_t s = S - 2 * i, t = T - i;
    for (int64_t j = s - 1; j < S; ++j) source[size_t(i * S + j)] = j == s - 1 ? c.eos_token : c.pad_token;
    for (int64_t j = 0; j < t; ++j) {
      in[size_t(i * T + j)] = j == 0 ? c.bos_token : tokens[size_t(i * T + j - 1)];
      out[size_t(i * T + j)] = j == t - 1 ? c.eos_token : tokens[size_t(i * T + j)];
    }
    b.source_lengths.push_back(int32_t(s)), b.target_lengths.push_back(int32_t(t));
  }
  b.source = Context::cpu().from(source.data(), {B, S});
  b.decoder_in = Context::cpu().from(in.data(), {B, T});
  b.labels = Context::cpu().from(out.data(), {B, T});
  return b;
}

Tensor rarity_of(const TextBatch& batch, const std::vector<float>& each) {
  std::vector<float> r;
  for (const int64_t id : batch.source.values<int64_t>()) r.push_back(each[size_t(id)]);
  return Context::cpu().from(r.data(), batch.source.shape());
}

}  // namespace

TEST_CASE("text: gradients of a whole step equal central differences in double") {
  struct Variant {
    bool share = false, checkpointing = false;
    std::string norm = "pre", encoder = "softmax", self = "softmax", cross = "softmax";
  };
  for (const Variant& v : {Variant{}, Variant{.share = true, .checkpointing = true, .norm = "post"},
                           Variant{.encoder = "linear", .self = "linear", .cross = "linear"}}) {
    TextConfig c = small(v.share);
    c.norm = v.norm, c.activation_checkpointing = v.checkpointing;
    c.attention.encoder_self = v.encoder, c.attention.decoder_self = v.self, c.attention.decoder_cross = v.cross;
    TextTransformer model(Context::cpu(), c, RandomKey{5});
    model.visit("", [](const std::string&, Parameter& p) { p.value = p.value.to(DType::f64).clone(); });
    const TextBatch batch = batch_of(c);
    auto loss = [&](Tape* tape) { return model.loss(batch, 0.1, {.tape = tape}); };
    Tape tape;
    tape.backward(loss(&tape));
    std::vector<std::pair<std::string, Parameter*>> parameters;
    model.visit("", [&](const std::string& name, Parameter& p) { parameters.emplace_back(name, &p); });
    Draw draw(RandomKey{8});
    for (int i = 0; i < 25; ++i) {
      const auto& [name, p] = parameters[size_t(draw.integer(0, int64_t(parameters.size()) - 1))];
      CAPTURE(name);
      REQUIRE(bool(p->grad));
      const int64_t e = draw.integer(0, p->value.count() - 1);
      double* x = p->value.data<double>() + e;
      const double old = *x, h = 1e-5;
      auto at = [&](double value) {
        *x = value;
        return loss(nullptr).value().item();
      };
      const double numeric = (8 * (at(old + h) - at(old - h)) - (at(old + 2 * h) - at(old - 2 * h))) / (12 * h);
      *x = old;
      CHECK(p->grad.data<double>()[e] == doctest::Approx(numeric).epsilon(1e-6).scale(1));
    }
  }
}

TEST_CASE("text: padding changes nothing: a sentence alone has the logits that it has in a batch") {
  const TextConfig c = small();
  TextTransformer model(Context::cpu(), c, RandomKey{5});
  const TextBatch batch = batch_of(c);
  const Tensor all = model.logits(batch, {}).value();
  for (int64_t b = 0; b < 3; ++b) {
    const int64_t S = batch.source_lengths[size_t(b)], T = batch.target_lengths[size_t(b)];
    TextBatch one;
    one.source = batch.source.slice(0, b, b + 1).slice(1, 0, S).compact(), one.source_lengths = {int32_t(S)};
    one.decoder_in = batch.decoder_in.slice(0, b, b + 1).slice(1, 0, T).compact();
    const auto alone = model.logits(one, {}).value().values<float>(),
               together = all.slice(0, b, b + 1).slice(1, 0, T).compact().values<float>();
    REQUIRE(alone.size() == together.size());
    for (size_t i = 0; i < alone.size(); ++i) CHECK(alone[i] == doctest::Approx(together[i]).epsilon(1e-4).scale(1));
  }
}

TEST_CASE("text: cached decoding gives the logits of the full forward pass, for every family of every block, and for a mix of layers") {
  const std::string elu = R"({"name": "linear", "feature_map": "elu"})", cosformer = R"({"name": "linear", "feature_map": "cosformer"})",
                    favor = R"({"name": "linear", "feature_map": "favor"})", band = R"({"name": "structured", "window": 1})",
                    rare = R"({"name": "structured", "window": 1, "columns": 2})", literal = R"({"name": "literal", "window": 2, "residual": 3, "span": 16})";
  const std::string cases[][3] = {{R"("softmax")", R"("softmax")", R"("softmax")"}, {R"("linear")", R"("linear")", R"("linear")"}, {elu, elu, elu}, {cosformer, cosformer, cosformer},
                                  {favor, favor, favor}, {rare, band, cosformer}, {literal, literal, elu}, {"[" + rare + ", " + elu + "]", "[\"softmax\", " + band + "]", "[" + cosformer + ", \"linear\"]"}};
  for (const auto& one : cases) {
    TextConfig c = small(true);
    Config choices = Config::text("{\"encoder_self\": " + one[0] + ", \"decoder_self\": " + one[1] + ", \"decoder_cross\": " + one[2] + "}", "case");
    c.attention.fields(choices);
    TextTransformer model(Context::cpu(), c, RandomKey{6});
    std::vector<float> rarity;
    for (int64_t v = 0; v < c.source_words; ++v) rarity.push_back(float(v * 7 % 5));
    model.set_rarity(rarity);
    const TextBatch batch = batch_of(c);
    const auto full = model.logits(batch, {}).value().values<float>();
    const Tensor states = model.encoder().forward(batch.source, batch.source_lengths, rarity_of(batch, rarity), model.decoder().table(), {}).value();
    auto state = model.decoder().begin(3, 6, states.size(1), batch.source_lengths, {batch.target_lengths.begin(), batch.target_lengths.end()});
    model.decoder().read(state, states);
    for (int64_t t = 0; t < 6; ++t) {
      const auto step = model.decoder().step(state, batch.decoder_in.slice(1, t, t + 1).compact().reshape({3})).values<float>();
      for (int64_t b = 0; b < 3; ++b)
        for (int64_t v = 0; v < c.target_words; ++v)
          CHECK(step[size_t(b * c.target_words + v)] ==
                doctest::Approx(full[size_t((b * 6 + t) * c.target_words + v)]).epsilon(1e-4).scale(1));
    }
  }
}

// Σ log p of a sentence's sequence, from the full forward pass.
static double teacher_forced(TextTransformer& model, const TextBatch& batch, int64_t item, const std::vector<int32_t>& sequence) {
  const int64_t S = batch.source_lengths[size_t(item)], T = int64_t(sequence.size()) - 1;
  std::vector<int64_t> in(sequence.begin(), sequence.end() - 1);
  TextBatch one;
  one.source = batch.source.slice(0, item, item + 1).slice(1, 0, S).compact(), one.source_lengths = {int32_t(S)};
  one.decoder_in = Context::cpu().from(in.data(), {1, T}), one.target_lengths = {int32_t(T)};
  const auto p = LogSoftmax{}.forward(model.logits(one, {}).value(), nullptr).values<double>();
  double sum = 0;
  for (int64_t t = 0; t < T; ++t) sum += p[size_t(t * model.config().target_words + sequence[size_t(t + 1)])];
  return sum;
}

TEST_CASE("text: beam search keeps its rows straight in a real model: scores are those of the full pass, batched equals one by one") {
  const std::string cases[][2] = {{R"("softmax")", R"("softmax")"}, {R"("linear")", R"("linear")"}, {R"({"name": "structured", "window": 2})", R"("softmax")"},
                                  {R"({"name": "linear", "feature_map": "favor"})", R"({"name": "linear", "feature_map": "elu"})"}};
  for (const auto& one : cases) {
    TextConfig c = small(true);
    Config choices = Config::text("{\"decoder_self\": " + one[0] + ", \"decoder_cross\": " + one[1] + "}", "case");
    c.attention.fields(choices);
    TextTransformer model(Context::cpu(), c, RandomKey{21});
    const TextBatch batch = batch_of(c);
    for (const int64_t beam : {1, 3, 5}) {
      const GenerationConfig config{.num_beams = beam, .max_new_tokens = 8, .length_penalty = 0};
      const Generation all = model.translate(batch.source, batch.source_lengths, config);
      for (int64_t b = 0; b < 3; ++b) {
        const int32_t S = batch.source_lengths[size_t(b)];
        CHECK(model.translate(batch.source.slice(0, b, b + 1).slice(1, 0, S).compact(), {S}, config).tokens(0) == all.tokens(size_t(b)));
        if (beam == 1) continue;
        std::vector<int32_t> sequence = all.sequences[size_t(b)];
        while (sequence.back() == c.pad_token || (sequence.size() > 2 && sequence.back() == c.eos_token && sequence[sequence.size() - 2] == c.eos_token)) sequence.pop_back();
        CHECK(all.scores[size_t(b)] == doctest::Approx(teacher_forced(model, batch, b, sequence)).epsilon(1e-5));
      }
    }
  }
}

TEST_CASE("text: shared embeddings are one parameter; one batch is learnt by heart and translated back") {
  TextTransformer apart(Context::cpu(), small(), RandomKey{5});
  const TextConfig c = small(true);
  TextTransformer model(Context::cpu(), c, RandomKey{5});
  int tables = 0;
  model.visit("", [&](const std::string& name, Parameter&) { tables += name.find("embed_tokens") != std::string::npos || name == "model.shared.weight"; });
  CHECK(tables == 1);
  CHECK(parameter_count(apart) - parameter_count(model) == 11 * 16);
  FlatParameters flat(model);
  const OptimizerConfig oc{.lr = 5e-3, .weight_decay = 0};
  Optimizer optimizer(flat, oc);
  const TextBatch batch = batch_of(c);
  double last = 0;
  for (int step = 1; step <= 150; ++step) {
    Tape tape;
    optimizer.zero_grad();
    const Variable loss = model.loss(batch, 0, {.tape = &tape});
    last = loss.value().item();
    tape.backward(loss);
    optimizer.step(oc.lr, step, optimizer.gradient_norm());
  }
  CHECK(last < 0.05);
  const auto labels = batch.labels.values<int64_t>();
  for (const int64_t beam : {1, 4}) {
    const Generation translated = model.translate(batch.source, batch.source_lengths, {.num_beams = beam, .max_new_tokens = 10});
    for (int64_t b = 0; b < 3; ++b) {
      const auto begin = labels.begin() + b * 6;
      CHECK(translated.tokens(size_t(b)) == std::vector<int32_t>(begin, begin + batch.target_lengths[size_t(b)] - 1));
    }
  }
}

TEST_CASE("text: impossible configurations are refused by name") {
  TextConfig c = small();
  c.share_embeddings = true;
  CHECK_THROWS_WITH_AS(
      TextTransformer(Context::cpu(), c, RandomKey{1}),
      "model: share_embeddings needs one vocabulary, but source_words is 13 and target_words 11; prepare the data with --joint", Error);
  TextTransformer model(Context::cpu(), small(), RandomKey{1});
  const auto source = ids(40, 13, 3);
  CHECK_THROWS_AS(model.translate(Context::cpu().from(source.data(), {1, 40}), {40}, {}), Error);
}
