#include "data/tokenizers/atomic_tokens.h"

#include <algorithm>

#include "data/scores/words.h"

namespace alinea {

void AtomicTokens::add(AddedToken token) {
  if (token.text.empty()) return;
  ids_.insert(std::lower_bound(ids_.begin(), ids_.end(), token.id), token.id);
  auto& list = by_first_byte_[uint8_t(token.text[0])];
  const auto place = std::find_if(list.begin(), list.end(), [&](const AddedToken& t) { return t.text.size() < token.text.size(); });
  list.insert(place, std::move(token));
}

bool AtomicTokens::contains(int32_t id) const { return std::binary_search(ids_.begin(), ids_.end(), id); }

const AddedToken* AtomicTokens::at(std::string_view text) const {
  for (const AddedToken& t : by_first_byte_[uint8_t(text[0])])
    if (text.starts_with(t.text)) return &t;
  return nullptr;
}

std::vector<AtomicTokens::Part> AtomicTokens::split(std::string_view text) const {
  std::vector<Part> parts;
  size_t begin = 0;  // of the stretch that is not yet given out
  bool strip_left = false;
  const auto stretch = [&](size_t end, bool strip_right) {
    const std::string_view part = strip(text.substr(begin, end - begin), strip_left, strip_right);
    if (!part.empty()) parts.push_back({part, -1});
  };
  for (size_t i = 0; i < text.size();) {
    const AddedToken* token = at(text.substr(i));
    if (!token) {
      ++i;
      continue;
    }
    stretch(i, token->strip_left);
    parts.push_back({text.substr(i, token->text.size()), token->id});
    i = begin = i + token->text.size();
    strip_left = token->strip_right;
  }
  stretch(text.size(), false);
  return parts;
}

}  // namespace alinea
