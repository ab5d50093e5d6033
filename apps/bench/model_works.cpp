// Whole public models with random weights: wav2vec 2.0's base model on ten seconds of noise.
#include <memory>

#include "apps/bench/work.h"
#include "models/wav2vec2/ctc.h"
#include "nn/optimizer.h"

namespace alinea {

namespace {

constexpr int64_t ten_seconds = 160000, labels_of_ten_seconds = 120;

// As published but for what makes a step's work random: no masks, no dropped layers.
Wav2Vec2Config wav2vec2_base() {
  Wav2Vec2Config c;
  c.layerdrop = 0, c.mask_time_prob = 0, c.ctc_loss_reduction = "mean";
  return c;
}

Step wav2vec2_forward(Context& context) {
  auto model = std::make_shared<Wav2Vec2>(context, wav2vec2_base(), RandomKey{1});
  return [model, wave = normals(context, {1, ten_seconds}, 0)] { model->forward(wave, {}, {}); };
}

Step wav2vec2_training(Context& context) {
  struct State {
    Wav2Vec2ForCTC model;
    FlatParameters parameters;
    Optimizer optimizer;
    Tensor wave, labels;
    int64_t step = 0;
    explicit State(Context& c)
        : model(c, wav2vec2_base(), RandomKey{1}),
          parameters(model),
          optimizer(parameters, OptimizerConfig{.clip = 1}),
          wave(normals(c, {1, ten_seconds}, 0)),
          labels(random_ids(c, {1, labels_of_ten_seconds}, 1, model.config().vocab_size, 0)) {}
  };
  auto s = std::make_shared<State>(context);
  return [s] {
    s->optimizer.zero_grad();
    {
      Tape tape;
      const auto out = s->model.forward(s->wave, {}, s->labels, {}, {&tape, RandomKey{3}.child(uint64_t(s->step)), true});
      tape.backward(out.loss);
    }
    ++s->step;
    s->optimizer.step(1e-4, s->step, s->optimizer.gradient_norm());
  };
}

}  // namespace

std::vector<Work> model_works() {
  return {{.name = "forward/wav2vec2-base/10s", .shape = "160000 samples -> [1,499,768], eval", .make = wav2vec2_forward},
          {.name = "train/wav2vec2-base-ctc/10s", .shape = "160000 samples, 120 labels of 32, every weight trained", .make = wav2vec2_training}};
}

}  // namespace alinea
