// tokenizer.json, the one-file form of Hugging Face's tokenizers, as a sentencepiece model.
#pragma once
#include <nlohmann/json_fwd.hpp>
#include <string>

namespace alinea {

/// The bytes of a sentencepiece model with the pieces, scores and character map of a Unigram model in mBART's order: <s> <pad> </s> <unk>, pieces,
/// language codes from ar_AR on (left out here). Error{data}, naming `place`, for any other content.
std::string unigram_model_of(const nlohmann::json& tokenizer, const std::string& place);

}  // namespace alinea
