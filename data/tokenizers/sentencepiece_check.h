// Damage of a sentencepiece model that the library would follow out of bounds.
#pragma once
#include <string>
#include <string_view>

namespace alinea {

/// Walks the protocol buffer of a model (sentencepiece_model.proto) and its precompiled character maps: u32 size of a double array, that
/// array (Darts: 32-bit units), replacement texts that end with NUL. Every jump the array can lead to must stay inside it, every value
/// inside the texts, every score must be finite. Error{data} names `place` and what is wrong.
void check_sentencepiece_model(std::string_view model, const std::string& place);

}  // namespace alinea
