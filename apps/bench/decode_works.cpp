// Translating one sentence with an mBART of full size and random weights: encode it, then exactly as many tokens as asked for. What a
// step takes is the time to read the decoder's weights once, whatever the number of beams.
#include <cstring>

#include "apps/bench/work.h"
#include "engine/core/parallel.h"
#include "models/hub/mbart.h"

namespace alinea {

namespace {

constexpr int64_t source_tokens = 40, new_tokens = 50;

TextConfig mbart_large() {
  MBartConfig c;
  c.vocab_size = 250054;
  c.scale_embedding = true;
  return c.text();
}

bool is_matrix(const std::string& name, const Tensor& t) { return t.rank() == 2 && name.find("positions") == std::string::npos && name.find("logits_bias") == std::string::npos; }

// N(0, 0.02²), one draw over and over: what the numbers are does not matter here. Norms keep 1 and 0, other vectors are 0.
Tensor filled(Context& c, const Tensor& like, const Tensor& numbers, DType dtype) {
  if (like.rank() == 1) return c.zeros(like.shape(), DType::f32);
  const Tensor t = Context::cpu().empty(like.shape(), dtype);
  const int64_t n = numbers.count(), size = bytes_of(dtype);
  const Tensor from = numbers.to(dtype);
  with_any(dtype, [&]<class T>() {
    auto* to = reinterpret_cast<char*>(t.data<T>());
    const auto* source = reinterpret_cast<const char*>(from.data<T>());
    parallel_for((t.count() + n - 1) / n, 1, [&](int64_t begin, int64_t end) {
      for (int64_t b = begin; b < end; ++b) std::memcpy(to + b * n * size, source, size_t(std::min(n, t.count() - b * n) * size));
    });
  });
  return t.to(c);
}

struct Translation {
  TextTransformer model;
  Tensor source;
  GenerationConfig config;

  Translation(Context& c, int64_t beams, DType dtype)
      : model(c, mbart_large(), RandomKey::deferred()), source(random_ids(c, {1, source_tokens}, 4, 250000, 0)),
        config{.num_beams = beams, .max_new_tokens = new_tokens, .min_new_tokens = new_tokens} {
    const Tensor numbers = normals(Context::cpu(), {1000003}, 1, 0.02);
    model.visit("", [&](const std::string& name, Parameter& p) {
      if (name.find("norm") == std::string::npos) p.value = filled(c, p.value, numbers, is_matrix(name, p.value) ? dtype : DType::f32);
    });
  }
};

// Bytes of weights that a translation reads at least: the encoder and the cross attention's keys and values once, all else in every step.
double weights_read(DType dtype) {
  const TextConfig m = mbart_large();
  const double square = double(m.d_model * m.d_model), ffn = 2 * double(m.d_model * m.ffn), words = double(m.target_words * m.d_model);
  const double once = double(m.encoder_layers) * (4 * square + ffn) + double(m.decoder_layers) * 2 * square, each = double(m.decoder_layers) * (6 * square + ffn) + words;
  return double(bytes_of(dtype)) * (once + double(new_tokens) * each);
}

Work decoding(const std::string& name, const std::string& form, int64_t beams, DType dtype) {
  return {.name = "decode/mbart-large/" + name,
          .shape = fmt::format("B 1, {} source tokens, exactly {} new tokens, with a cache, 12+12 layers, d 1024, V 250054", source_tokens, new_tokens),
          .form = form,
          .exact = dtype == DType::f32,                     // rounded weights are another model
          .cost = {.read = weights_read(dtype)},
          .make =
              [=](Context& c) {
                auto t = std::make_shared<Translation>(c, beams, dtype);
                return [t] {
                  const Generation g = t->model.translate(t->source, {int32_t(source_tokens)}, t->config);
                  require(g.sequences[0].size() == new_tokens + 1, "bench: {} tokens were generated", g.sequences[0].size());
                };
              },
          .dtype = dtype == DType::bf16 ? "bf16 weights, fp32 arithmetic" : "fp32"};
}

}  // namespace

std::vector<Work> decode_works() {
  return {decoding("greedy-50", "plain", 1, DType::f32), decoding("greedy-50", "bf16-weights", 1, DType::bf16), decoding("beam5-50", "plain", 5, DType::f32),
          decoding("beam5-50", "bf16-weights", 5, DType::bf16)};
}

}  // namespace alinea
