// Whole training steps: forward, loss, backward, clipping, AdamW; dropout on. Random weights, random data of one size, nothing padded.
#include <memory>

#include "apps/bench/work.h"
#include "models/s2t_transformer.h"
#include "nn/optimizer.h"

namespace alinea {

namespace {

struct Sizes {
  int64_t batch, frames, tokens;
};

struct Training {
  S2TConfig model;
  LossConfig loss;
  Sizes sizes;
  double clip = 1;
  bool emma = false;
  std::vector<std::string> frozen;
};

S2TBatch random_batch(Context& c, const S2TConfig& m, const Sizes& s) {
  S2TBatch batch;
  const int64_t states = s.frames / m.frames_per_state();
  batch.features = normals(c, {s.batch, s.frames, m.input_bins}, 0);
  batch.frames.assign(size_t(s.batch), int32_t(s.frames));
  batch.decoder_in = random_ids(c, {s.batch, s.tokens}, 4, m.target_words, 0);
  batch.labels = random_ids(c, {s.batch, s.tokens}, 4, m.target_words, 1);
  batch.target_lengths.assign(size_t(s.batch), int32_t(s.tokens));
  if (m.source_words > 0) batch.frame_labels = random_ids(c, {s.batch, states}, 0, m.source_words, 2);
  return batch;
}

Step training_step(Context& c, const Training& t) {
  struct State {
    Training training;
    S2TTransformer model;
    std::unique_ptr<FlatParameters> parameters;
    std::unique_ptr<Optimizer> optimizer;
    S2TBatch batch;
    int64_t step = 0;
    State(Context& c, const Training& t) : training(t), model(c, t.model, RandomKey{1}) {
      if (t.emma) {
        model.add_policies(t.model.policy, RandomKey{2});
        model.use_cross_attention("monotonic");
      }
      freeze(model, t.frozen);
      parameters = std::make_unique<FlatParameters>(model);
      optimizer = std::make_unique<Optimizer>(*parameters, OptimizerConfig{.clip = t.clip});
      batch = random_batch(c, t.model, t.sizes);
    }
  };
  auto s = std::make_shared<State>(c, t);
  return [s] {
    s->optimizer->zero_grad();
    {
      Tape tape;
      const Pass pass{&tape, RandomKey{3}.child(uint64_t(s->step)), true};
      const S2TLoss loss =
          s->model.loss(s->batch, s->training.emma ? CrossAttention::monotonic : CrossAttention::full, s->training.loss, pass);
      tape.backward(loss.total);
    }
    ++s->step;
    s->optimizer->step(1e-4, s->step, s->optimizer->gradient_norm());
  };
}

// Width 256, 6+6 layers, 8 heads, whole utterances seen. In front: two Conv2d of kernel 3 with ReLU, or two Conv1d of kernel 5 with GLU.
Training speech_to_text(const std::string& stem, bool emma) {
  S2TConfig m;
  m.d_model = 256, m.heads = 8, m.ffn = 1024, m.encoder_layers = 6, m.decoder_layers = 6;
  m.stem = stem == "conv2d" ? StemConfig{.kind = stem, .layers = 2, .kernel = 3, .channels = 256}
                            : StemConfig{.kind = stem, .layers = 2, .kernel = 5, .channels = 1024};
  m.encoder_conv_kernel = 0, m.encoder_chunk = 0;
  m.activation_dropout = 0.1;
  m.target_words = 8000;
  m.policy.heads = 8;
  LossConfig loss{.frame = 0};
  if (emma) loss.latency = 0.1 / 10, loss.variance = 0.01 / 100;  // a source is 10 s long: 0.1 and 0.01 in its length
  return {.model = m, .loss = loss, .sizes = {8, 1000, 30}, .clip = 10, .emma = emma, .frozen = {}};
}

// The models of configs/announcements: sentences of 5.1 s, padded to whole chunks; 83 recordings, 91 target words.
Training announcements(bool emma, bool frozen) {
  S2TConfig m;
  m.source_words = 86;
  m.target_words = 93;
  LossConfig loss;
  if (emma) loss.frame = 0, loss.latency = 0.1, loss.variance = 0.8;
  return {.model = m,
          .loss = loss,
          .sizes = {16, 512, 9},
          .emma = emma,
          .frozen = frozen ? std::vector<std::string>{"model.encoder", "frame_classifier"} : std::vector<std::string>{}};
}

Work training(const std::string& name, const std::string& shape, const std::string& form, Training t) {
  return {.name = "train/" + name, .shape = shape, .form = form, .make = [t](Context& c) { return training_step(c, t); }};
}

}  // namespace

std::vector<Work> train_works() {
  const std::string sizes = "B 8, 1000 x 80 frames, 30 tokens, d 256, 6+6 layers, 8 heads, FFN 1024, V 8000, ";
  const std::string conv2d = sizes + "Conv2d front", glu = sizes + "Conv1d+GLU front", emma = ", EMMA cross attention, delay loss";
  const std::string small = "B 16, 512 x 80 frames, 9 tokens, d 128, 2+2 layers, 4 heads, FFN 512, V 93";
  return {training("s2t", conv2d, "plain", speech_to_text("conv2d", false)),
          training("s2t-glu", glu, "plain", speech_to_text("glu", false)),
          training("emma-s2t", conv2d + emma, "recurrence", speech_to_text("conv2d", true)),
          training("emma-s2t-glu", glu + emma, "recurrence", speech_to_text("glu", true)),
          training("announcements-offline", small + ", frame classifier", "plain", announcements(false, false)),
          training("announcements-emma", small + ", EMMA, every weight trained", "recurrence", announcements(true, false)),
          training("announcements-emma-frozen", small + ", EMMA, encoder frozen", "recurrence", announcements(true, true))};
}

}  // namespace alinea
