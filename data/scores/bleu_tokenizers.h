// How a text is cut into words before BLEU is counted, equal to sacreBLEU.
#pragma once
#include <span>
#include <string>
#include <string_view>

namespace alinea {

/// tokenize: text -> words separated by white space. signature: the name after "tok:".
struct BleuTokenizer {
  std::string_view name, help;
  std::string (*tokenize)(std::string_view line);
  std::string (*version)();  // what a signature adds to the name; may be null
  std::string signature() const { return std::string(name) + (version ? version() : ""); }
};
std::span<const BleuTokenizer> bleu_tokenizers();

/// Error{usage} lists the names that are known.
const BleuTokenizer& bleu_tokenizer(std::string_view name);

}  // namespace alinea
