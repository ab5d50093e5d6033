// Generation against Hugging Face's generate(): the same ids for every setting of the reference cases, and the scores of beams.
#include <doctest/doctest.h>

#include "models/hub/model_directory.h"
#include "tests/golden_case.h"

using namespace alinea;

namespace {

std::vector<int32_t> lengths_of(const Tensor& mask) {
  std::vector<int32_t> lengths(size_t(mask.size(0)));
  const auto ones = mask.values<int32_t>();
  for (size_t i = 0; i < ones.size(); ++i) lengths[i / size_t(mask.size(1))] += ones[i];
  return lengths;
}

Tensor rows(const std::vector<std::vector<int32_t>>& sequences) {
  std::vector<int64_t> all;
  for (const auto& s : sequences) all.insert(all.end(), s.begin(), s.end());
  return Context::cpu().from(all.data(), {int64_t(sequences.size()), int64_t(sequences[0].size())});
}

// Every plan of case.json over the directory's generation_config.json, as Hugging Face merges them.
template <class F>
void check_plans(const GoldenCase& c, size_t count, F&& generate) {
  const auto plans = c.settings().at("generate");
  CHECK(plans.size() == count);
  for (const auto& [name, plan] : plans.items()) {
    CAPTURE(name);
    GenerationConfig config = load_generation_config(c.directory());
    Config settings = Config::text(plan.dump(), "case.json");
    config.fields(settings);
    settings.refuse_unread();
    const Generation g = generate(config);
    c.check("gen." + name + ".sequences", rows(g.sequences));
    CHECK(g.scores.empty() == (config.num_beams == 1));
    if (!g.scores.empty()) c.check("gen." + name + ".scores", Context::cpu().from(g.scores.data(), {int64_t(g.scores.size())}));
  }
}

}  // namespace

TEST_CASE("mBART generates what transformers generates, greedy and with beams, under every setting") {
  const GoldenCase c("mbart");
  const auto model = load_text_model(c.directory(), Context::cpu());
  check_plans(c, 24, [&](const GenerationConfig& config) { return model->translate(c.input("input_ids"), lengths_of(c.input("attention_mask")), config); });
}

TEST_CASE("Speech2Text generates what transformers generates") {
  const GoldenCase c("s2t");
  const auto model = load_model(c.directory(), Context::cpu());
  check_plans(c, 4, [&](const GenerationConfig& config) { return model->translate(c.input("input_features"), lengths_of(c.input("attention_mask")), config); });
}

namespace {

// `stored` has its matrices in bf16; `wide` has the same numbers in f32.
template <class Model>
void check_stored(const std::string& name, Model& wide, Model& stored, const Tensor& source, const std::vector<int32_t>& lengths) {
  int64_t matrices = 0;
  wide.visit("", [](const std::string&, Parameter& p) { if (p.value.rank() == 2) p.value = p.value.to(DType::bf16).to(DType::f32); });
  stored.visit("", [&](const std::string& n, Parameter& p) {
    matrices += p.value.dtype() == DType::bf16;
    if (p.value.rank() == 2 && p.value.dtype() == DType::f32) p.value = p.value.to(DType::bf16).to(DType::f32);   // positions and the like
    CHECK_MESSAGE((p.value.rank() == 2 || p.value.dtype() == DType::f32), n);
  });
  CHECK(matrices >= 20);
  for (const int64_t beams : {1, 5}) {
    GenerationConfig config = load_generation_config(GoldenCase(name).directory());
    config.num_beams = beams, config.max_length = 12;
    const Generation a = wide.translate(source, lengths, config), b = stored.translate(source, lengths, config);
    CHECK(a.sequences == b.sequences);
    for (size_t i = 0; i < a.scores.size(); ++i) CHECK(a.scores[i] == doctest::Approx(b.scores[i]).epsilon(1e-5));
  }
}

}  // namespace

TEST_CASE("with matrices stored as bf16 a model decodes as with the same numbers in f32: mBART and Speech2Text") {
  const GoldenCase text("mbart"), speech("s2t");
  Context& cpu = Context::cpu();
  check_stored("mbart", *load_text_model(text.directory(), cpu), *load_text_model(text.directory(), cpu, DType::bf16), text.input("input_ids"), lengths_of(text.input("attention_mask")));
  check_stored("s2t", *load_model(speech.directory(), cpu), *load_model(speech.directory(), cpu, DType::bf16), speech.input("input_features"), lengths_of(speech.input("attention_mask")));
}
