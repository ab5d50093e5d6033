// Tokens that are never cut, wherever they stand in a text: "<mask>", language codes, entries of several characters.
#pragma once
#include <array>
#include <string_view>
#include <vector>

#include "data/tokenizers/files.h"

namespace alinea {

class AtomicTokens {
 public:
  void add(AddedToken token);
  bool contains(int32_t id) const;

  /// A stretch of text between tokens (id < 0; never empty), or a token.
  struct Part {
    std::string_view text;
    int32_t id = -1;
  };
  /// Of several tokens that begin at the same place the longest is taken. White space that a token strips is dropped.
  std::vector<Part> split(std::string_view text) const;

 private:
  const AddedToken* at(std::string_view text) const;
  std::array<std::vector<AddedToken>, 256> by_first_byte_;  // the longest first
  std::vector<int32_t> ids_;                                // sorted
};

}  // namespace alinea
