#include "models/hub/mbart.h"

#include <doctest/doctest.h>

#include <set>

#include "autograd/cross_entropy.h"
#include "autograd/layout.h"
#include "models/hub/model_directory.h"
#include "models/shift.h"
#include "nn/optimizer.h"
#include "nn/schedule.h"
#include "tests/golden_case.h"

using namespace alinea;

namespace {

// A mask of ones and zeros, padded on the right.
std::vector<int32_t> lengths_of(const Tensor& mask) {
  std::vector<int32_t> lengths(size_t(mask.size(0)));
  const auto ones = mask.values<int32_t>();
  for (size_t i = 0; i < ones.size(); ++i) lengths[i / size_t(mask.size(1))] += ones[i];
  return lengths;
}

TextBatch batch_of(const GoldenCase& c, const TextConfig& config) {
  TextBatch b{.source = c.input("input_ids"), .source_lengths = lengths_of(c.input("attention_mask")), .labels = c.input("labels")};
  b.decoder_in = rotate_right(b.labels, config.pad_token);
  b.target_lengths.assign(size_t(b.labels.size(0)), int32_t(b.labels.size(1)));
  return b;
}

Variable cross_entropy_of(const Variable& logits, const Tensor& labels, const CrossEntropy& options) {
  return cross_entropy(reshape(logits, {labels.count(), logits.size(2)}), labels.reshape({labels.count()}), options);
}

void check_forward(const GoldenCase& c, TextTransformer& model) {
  const TextBatch batch = batch_of(c, model.config());
  c.check("decoder_input_ids", batch.decoder_in);
  const auto out = model.forward(batch, {}, true);
  c.check("encoder_last_hidden_state", out.states.value());
  for (size_t i = 0; i < out.encoder_hidden.size(); ++i) c.check(fmt::format("encoder_hidden_states.{}", i), out.encoder_hidden[i].value());
  for (size_t i = 0; i < out.decoder_hidden.size(); ++i) c.check(fmt::format("decoder_hidden_states.{}", i), out.decoder_hidden[i].value());
  CHECK(int64_t(out.encoder_hidden.size()) == model.config().encoder_layers + 1);
  CHECK(int64_t(out.decoder_hidden.size()) == model.config().decoder_layers + 1);
  c.check("logits", out.logits.value());
  c.check("loss", cross_entropy_of(out.logits, batch.labels, {}).value());
  c.check("loss", model.loss(batch, 0, {}).value());
  c.check("nll_sum", cross_entropy_of(out.logits, batch.labels, {.reduction = Reduction::sum}).value());
  c.check("loss_smooth_0.1_mean", model.loss(batch, 0.1, {}).value());
  c.check("loss_smooth_0.1_fairseq_sum",
          cross_entropy_of(out.logits, batch.labels, {.smoothing = 0.1, .convention = CrossEntropy::Convention::fairseq, .reduction = Reduction::sum}).value());
}

void check_backward(const GoldenCase& c, TextTransformer& model) {
  FlatParameters flat(model);
  for (const double smoothing : {0.0, 0.1}) {
    flat.grads.zero();
    Tape tape;
    tape.backward(model.loss(batch_of(c, model.config()), smoothing, {.tape = &tape}));
    c.check_gradients(model, smoothing == 0 ? "grad" : "grad_smooth");
  }
}

struct TemporaryFolder {
  std::filesystem::path path = std::filesystem::temp_directory_path() / fmt::format("alinea_mbart_{}", getpid());
  TemporaryFolder() { std::filesystem::create_directories(path); }
  ~TemporaryFolder() { std::filesystem::remove_all(path); }
};

nlohmann::json json_of(const std::filesystem::path& file) { return nlohmann::json::parse(std::ifstream(file)); }

}  // namespace

TEST_CASE("mBART: states, logits, losses and gradients are those of transformers") {
  for (const std::string name : {"mbart", "mbart_sharded", "mbart_untied"}) {
    const GoldenCase c(name);
    const auto model = load_text_model(c.directory(), Context::cpu());
    check_forward(c, *model);
    check_backward(c, *model);
  }
}

TEST_CASE("mBART: half weights are widened to f32") {
  for (const std::string name : {"mbart_fp16", "mbart_bf16"}) {
    const GoldenCase c(name);
    const auto model = load_text_model(c.directory(), Context::cpu());
    check_forward(c, *model);
  }
}

TEST_CASE("mBART: decoding step by step gives the logits of teacher forcing") {
  const GoldenCase c("mbart");
  const auto model = load_text_model(c.directory(), Context::cpu());
  const TextBatch batch = batch_of(c, model->config());
  const auto out = model->forward(batch, {});
  const int64_t B = batch.labels.size(0), T = batch.labels.size(1);
  auto state = model->decoder().begin(B, T, batch.source.size(1), batch.source_lengths);
  model->decoder().read(state, out.states.value());
  for (int64_t t = 0; t < T; ++t) {
    const auto got = model->decoder().step(state, batch.decoder_in.slice(1, t, t + 1).clone()).values<double>();
    const auto want = out.logits.value().slice(1, t, t + 1).values<double>();
    for (size_t i = 0; i < want.size(); ++i) CHECK(got[i] == doctest::Approx(want[i]).epsilon(1e-4).scale(1));
  }
}

TEST_CASE("mBART: a saved directory has every key of the one that was opened, and the same weights") {
  for (const std::string name : {"mbart", "mbart_untied"}) {
    const GoldenCase c(name);
    const TemporaryFolder folder;
    const auto model = load_text_model(c.directory(), Context::cpu());
    save_model(folder.path, *model);
    const auto before = json_of(c.directory() / "config.json"), after = json_of(folder.path / "config.json");
    for (const auto& [key, value] : before.items()) {
      CAPTURE(key);
      CHECK(after.value(key, nlohmann::json("missing")).dump() == value.dump());   // 0.0 stays 0.0
    }
    CHECK(!after.contains("alinea"));
    const SafetensorsFile old(c.directory() / "model.safetensors"), fresh(folder.path / "model.safetensors");
    CHECK(old.entries().size() == fresh.entries().size());
    for (const auto& e : old.entries()) {
      CAPTURE(e.name);
      REQUIRE(fresh.has(e.name));
      CHECK(fresh.load(e.name, Context::cpu()).values<float>() == old.load(e.name, Context::cpu()).values<float>());
    }
    check_forward(c, *load_text_model(folder.path, Context::cpu()));
  }
}

TEST_CASE("mBART: the configuration goes there and back, with what transformers does not know") {
  Config file = Config::text(R"({"model_type": "mbart", "d_model": 16, "encoder_attention_heads": 4, "decoder_attention_heads": 2, "vocab_size": 20, "num_beams": 7,
                                 "alinea": {"attention": {"encoder_self": "linear"}}})", "config.json");
  const TextConfig t = MBartConfig::read(file);
  CHECK(t.heads == 4);
  CHECK(t.heads_of_decoder() == 2);
  CHECK(t.encoder_layers == 12);
  CHECK(t.activation == "gelu");
  CHECK(t.share_embeddings);
  CHECK(!t.scale_embedding);
  CHECK(t.bos_token == 0);
  CHECK(t.attention.encoder_self.layer(0).name == "linear");
  const auto written = nlohmann::json::parse(Seq2SeqConfig::text_of(MBartConfig::of(t), t.origin, DType::f32));
  CHECK(written.at("num_beams") == 7);
  CHECK(written.at("decoder_start_token_id").is_null());
  CHECK(written.at("alinea").at("attention").at("encoder_self") == "linear");
  TextConfig ours;
  ours.model_type = "mbart", ours.source_words = ours.target_words = 20;
  CHECK_THROWS_AS(TextTransformer(Context::cpu(), ours, RandomKey{1}), Error);   // sinusoids
  MBartConfig silu;
  silu.activation_function = "silu";
  CHECK_THROWS_WITH_AS(silu.text().check(), "model: activation 'silu' is not relu or gelu", Error);
}

TEST_CASE("mBART's decoder alone has the names of MBartForCausalLM") {
  MBartConfig c;
  c.d_model = 16, c.decoder_layers = 1, c.decoder_attention_heads = c.encoder_attention_heads = 2, c.decoder_ffn_dim = 8, c.vocab_size = 20, c.max_position_embeddings = 10;
  for (const bool tied : {true, false}) {
    c.tie_word_embeddings = tied;
    TextDecoder decoder(Context::cpu(), c.decoder(), RandomKey{1});
    std::map<std::string, Shape> names;
    decoder.visit("decoder", [&](const std::string& name, Parameter& p) { names.emplace(name, p.value.shape()); });
    CHECK(names.size() == (tied ? 32u : 33u));
    CHECK(names.count("decoder.lm_head.weight") == (tied ? 0u : 1u));
    CHECK(names.at("decoder.model.decoder.embed_tokens.weight") == Shape{20, 16});
    CHECK(names.at("decoder.model.decoder.embed_positions.weight") == Shape{12, 16});
    CHECK(names.count("decoder.model.decoder.layers.0.encoder_attn_layer_norm.bias") == 1);
    CHECK(names.count("decoder.model.decoder.layernorm_embedding.weight") == 1);
  }
}

TEST_CASE("decoder inputs: mBART's rotation and the plain shift; -100 is read as padding") {
  const std::vector<int64_t> labels{5, 6, 2, 9, 7, 2, 9, -100};
  const Tensor t = Context::cpu().from(labels.data(), {2, 4});
  CHECK(rotate_right(t, 1).values<int64_t>() == std::vector<int64_t>{9, 5, 6, 2, 9, 7, 2, 9});
  CHECK(shift_right(t, 2, 1).values<int64_t>() == std::vector<int64_t>{2, 5, 6, 2, 2, 7, 2, 9});
  const std::vector<int64_t> early{-100, 4, -100, -100};
  const Tensor e = Context::cpu().from(early.data(), {1, 4});
  CHECK(shift_right(e, 2, 1).values<int64_t>() == std::vector<int64_t>{2, 1, 4, 1});
  const std::vector<int64_t> none{-100, -100};
  CHECK_THROWS_AS(rotate_right(Context::cpu().from(none.data(), {1, 2}), 1), Error);
}

TEST_CASE("layer drop leaves out layers while training, none otherwise") {
  const GoldenCase c("mbart");
  auto config = MBartConfig::read(Config::file(c.directory() / "config.json"));
  config.dropout = 0, config.encoder_layerdrop = config.decoder_layerdrop = 0.5;
  TextTransformer model(Context::cpu(), config, RandomKey{4});
  const TextBatch batch = batch_of(c, config);
  const double whole = model.loss(batch, 0, {}).value().item();
  CHECK(model.loss(batch, 0, {.key = RandomKey{1}}).value().item() == whole);
  std::set<double> losses;
  for (uint64_t seed = 1; seed <= 12; ++seed) losses.insert(model.loss(batch, 0, {.key = RandomKey{seed}, .training = true}).value().item());
  CHECK(losses.size() > 4);
}

TEST_CASE("AdamW with the inverse square root of the step follows PyTorch for five steps of a tiny mBART") {
  const GoldenCase c("adamw");
  const auto model = load_text_model(c.directory(), Context::cpu());
  const TextBatch batch = batch_of(c, model->config());
  FlatParameters flat(*model);
  Optimizer optimizer(flat, {.lr = 1e-3, .beta1 = 0.9, .beta2 = 0.98, .eps = 1e-8, .weight_decay = 0.01, .clip = 1});
  const Schedule schedule{.kind = "inverse_sqrt", .warmup = 2};
  std::vector<float> rates, losses, norms;
  for (int64_t step = 1; step <= 5; ++step) {
    optimizer.zero_grad();
    Tape tape;
    const Variable loss = model->loss(batch, 0, {.tape = &tape});
    tape.backward(loss);
    const Tensor norm = optimizer.gradient_norm();
    norms.push_back(float(norm.item()));
    losses.push_back(float(loss.value().item()));
    rates.push_back(float(1e-3 * schedule.factor(step, 5)));
    optimizer.step(rates.back(), step, norm);
  }
  const auto check = [&](const std::string& name, const std::vector<float>& got) { c.check(name, Context::cpu().from(got.data(), {int64_t(got.size())})); };
  check("lr", rates), check("loss", losses), check("grad_norm", norms);
  c.check("loss_after", model->loss(batch, 0, {}).value());
  std::map<std::string, std::pair<double, double>> sums;
  for (const auto& e : flat.entries) {
    if (c.has("final." + e.path)) {
      c.check("final." + e.path, e.parameter->value);
      c.check("exp_avg." + e.path, optimizer.moment1.slice(0, e.begin, e.begin + e.count).reshape(e.parameter->value.shape()));
      c.check("exp_avg_sq." + e.path, optimizer.moment2.slice(0, e.begin, e.begin + e.count).reshape(e.parameter->value.shape()));
    }
    for (const double v : e.parameter->value.values<double>()) sums[e.path].first += v, sums[e.path].second += std::abs(v);
  }
  std::vector<float> sum, abs_sum;
  for (const std::string name : c.settings().at("param_order")) {
    const bool meaningless = name.ends_with("k_proj.bias");  // its gradient is rounding alone, which Adam turns into steps
    sum.push_back(meaningless ? 0 : float(sums.at(name).first)), abs_sum.push_back(meaningless ? 0 : float(sums.at(name).second));
  }
  check("param_sum", sum), check("param_abs_sum", abs_sum);
}
