#include "data/features/extractor.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "engine/core/error.h"
#include "engine/core/files.h"

namespace alinea {
namespace {

using json = nlohmann::ordered_json;

json settings_in(const std::filesystem::path& directory, std::string& place) {
  const bool nested = !std::filesystem::exists(directory / "preprocessor_config.json") && std::filesystem::exists(directory / "processor_config.json");
  place = (directory / (nested ? "processor_config.json" : "preprocessor_config.json")).string();
  json all;
  try {
    all = json::parse(read_file(place));
  } catch (const json::exception& e) {
    fail(Exit::data, "{}: this is no JSON ({})", place, e.what());
  }
  if (nested && all.is_object() && all.contains("feature_extractor")) all = json(all["feature_extractor"]);
  require_data(all.is_object(), "{}: is {}; expected an object", place, all.type_name());
  return all;
}

// Settings that are there must be of the right type; null and missing ones stay as they are.
template <class T>
void read(const json& settings, const std::string& place, const char* key, T& value) {
  if (!settings.contains(key) || settings[key].is_null()) return;
  const json& found = settings[key];
  const bool fits = std::is_same_v<T, bool> ? found.is_boolean() : std::is_same_v<T, std::string> ? found.is_string() : std::is_same_v<T, int> ? found.is_number_integer() : found.is_number();
  require_data(fits, "{}: '{}' is {}", place, key, found.dump());
  value = found.get<T>();
}

struct Moments {
  double mean = 0, variance = 0;
};

// Of every `stride`-th of `count · stride` values.
Moments moments_of(const float* x, int64_t count, int64_t stride) {
  Moments m;
  for (int64_t i = 0; i < count; ++i) m.mean += x[i * stride];
  m.mean /= double(count);
  for (int64_t i = 0; i < count; ++i) m.variance += (x[i * stride] - m.mean) * (x[i * stride] - m.mean);
  m.variance /= double(count);
  return m;
}

// Rows of any length -> a batch. Each row holds whole frames of `width` values.
FeatureBatch pad(std::span<const std::vector<float>> rows, int64_t width, double padding_value, const FeaturePadding& padding) {
  FeatureBatch batch{.rows = int64_t(rows.size()), .width = width, .values = {}, .lengths = {}};
  for (const auto& row : rows) batch.length = std::max(batch.length, int64_t(row.size()) / width);
  if (padding.length) {
    require(*padding.length > 0, "features: a length of {}; expected 1 or more", *padding.length);
    require(padding.cut || batch.length <= *padding.length, "features: a row of {} is longer than {}; cut it, or pad to more", batch.length, *padding.length);
    batch.length = *padding.length;
  }
  batch.values.assign(size_t(batch.rows * batch.length * width), float(padding_value));
  for (int64_t b = 0; b < batch.rows; ++b) {
    const auto& row = rows[size_t(b)];
    const int64_t length = std::min(batch.length, int64_t(row.size()) / width);
    std::copy_n(row.begin(), length * width, batch.values.begin() + b * batch.length * width);
    batch.lengths.push_back(int32_t(length));
  }
  return batch;
}

void normalise_samples(FeatureBatch& batch, bool over_padding) {
  for (int64_t b = 0; b < batch.rows; ++b) {
    float* row = batch.values.data() + b * batch.length;
    const int64_t length = over_padding ? batch.length : batch.lengths[size_t(b)];
    const Moments m = moments_of(row, length, 1);
    const double scale = 1 / std::sqrt(m.variance + 1e-7);
    for (int64_t i = 0; i < length; ++i) row[i] = float((row[i] - m.mean) * scale);
  }
}

// A bin that never changes has no variance to divide by: it is left at 0 (or at its own value, when the mean stays).
void normalise_bins(FeatureBatch& batch, bool means, bool variances) {
  for (int64_t b = 0; b < batch.rows; ++b)
    for (int64_t bin = 0; bin < batch.width; ++bin) {
      float* x = batch.values.data() + b * batch.length * batch.width + bin;
      const Moments m = moments_of(x, batch.lengths[size_t(b)], batch.width);
      const double mean = means ? m.mean : 0, scale = variances && m.variance > 0 ? 1 / std::sqrt(m.variance) : 1;
      for (int64_t t = 0; t < batch.lengths[size_t(b)]; ++t) x[t * batch.width] = float((x[t * batch.width] - mean) * scale);
    }
}

}  // namespace

FeatureExtractor FeatureExtractor::open(const std::filesystem::path& directory) {
  std::string place, side = "right";
  const json settings = settings_in(directory, place);
  FeatureExtractor f{.others = settings.dump()};
  double dither = 0;
  bool cepstral = true;
  read(settings, place, "feature_extractor_type", f.kind);
  require_data(f.kind == "Wav2Vec2FeatureExtractor" || f.makes_filter_banks(),
               "{}: feature_extractor_type '{}' is not known; known are Wav2Vec2FeatureExtractor and Speech2TextFeatureExtractor", place, f.kind);
  f.return_attention_mask = f.makes_filter_banks();
  read(settings, place, "sampling_rate", f.rate), read(settings, place, "padding_value", f.padding_value), read(settings, place, "padding_side", side);
  read(settings, place, "return_attention_mask", f.return_attention_mask), read(settings, place, "do_normalize", f.do_normalize);
  read(settings, place, "normalize_means", f.normalize_means), read(settings, place, "normalize_vars", f.normalize_variances);
  read(settings, place, "feature_size", f.bins), read(settings, place, "num_mel_bins", f.bins);
  read(settings, place, "dither", dither), read(settings, place, "do_ceptral_normalize", cepstral);
  if (!cepstral) f.normalize_means = f.normalize_variances = false;
  require_data(side == "right", "{}: padding_side '{}'; only right is known", place, side);
  require_data(dither == 0, "{}: dither {}; features without random noise (0) are known", place, dither);
  require_data(f.makes_filter_banks() || f.bins == 1 || !settings.contains("feature_size"), "{}: feature_size {}; samples have 1", place, f.bins);
  return f;
}

void FeatureExtractor::save(const std::filesystem::path& directory) const {
  json settings = json::parse(others);
  settings.update({{"feature_extractor_type", kind}, {"feature_size", makes_filter_banks() ? bins : 1}, {"sampling_rate", rate}, {"padding_side", "right"},
                   {"padding_value", padding_value}, {"return_attention_mask", return_attention_mask}});
  if (makes_filter_banks())
    settings.update({{"num_mel_bins", bins}, {"do_ceptral_normalize", normalize_means || normalize_variances}, {"normalize_means", normalize_means}, {"normalize_vars", normalize_variances}});
  else
    settings["do_normalize"] = do_normalize;
  write_atomically(directory / "preprocessor_config.json", settings.dump(2) + "\n");
}

FeatureBatch FeatureExtractor::operator()(std::span<const std::vector<float>> sounds, const FeaturePadding& padding) const {
  require(!sounds.empty(), "features: there is no sound to make features of");
  for (const auto& sound : sounds) require_data(!sound.empty(), "features: a sound without samples");
  if (!makes_filter_banks()) {
    FeatureBatch batch = pad(sounds, 1, padding_value, padding);
    if (do_normalize) normalise_samples(batch, !return_attention_mask);
    if (!return_attention_mask) batch.lengths.clear();
    return batch;
  }
  const LogMel mel({.bins = bins, .rate = rate});
  std::vector<std::vector<float>> rows;
  for (const auto& sound : sounds) {
    rows.push_back(mel(sound));
    require_data(!rows.back().empty(), "features: {} samples are too few for one frame of {}", sound.size(), mel.options().window());
  }
  FeatureBatch batch = pad(rows, bins, padding_value, padding);
  normalise_bins(batch, normalize_means, normalize_variances);
  return batch;
}

}  // namespace alinea
