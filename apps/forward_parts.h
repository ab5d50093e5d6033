// What the files of `alinea forward` share: one opens each kind of model.
#pragma once
#include "apps/forward_model.h"

namespace alinea {

std::unique_ptr<ForwardModel> open_wav2vec2_forward(const std::filesystem::path& directory, Context& context);   // bare, CTC, pre-training
std::unique_ptr<ForwardModel> open_text_forward(const std::filesystem::path& directory, Context& context);
std::unique_ptr<ForwardModel> open_feature_forward(const std::filesystem::path& directory, Context& context);
std::unique_ptr<ForwardModel> open_wave_forward(const std::filesystem::path& directory, Context& context);

/// i32 [items, columns]: 1 in the first lengths[item] columns.
Tensor ones_up_to(Context& context, const std::vector<int32_t>& lengths, int64_t columns);

}  // namespace alinea
