// Cutting text the way the scores of this field do: words at Unicode white space (Python's str.split), characters at code points.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace alinea {

bool is_white_space(char32_t c);

/// Words between runs of white space. "  a\u00a0b " -> a, b.
std::vector<std::string> split_words(std::string_view text);

/// Code points of UTF-8 text. A byte that belongs to no valid sequence becomes 0xDC00 + byte, so that nothing is lost or merged.
std::u32string code_points(std::string_view text);

std::string utf8(char32_t c);

/// Text without the white space at its ends, or at one of them.
std::string_view strip(std::string_view text, bool left = true, bool right = true);

/// Words joined by single spaces.
std::string join_words(const std::vector<std::string>& words);

/// Lower and upper case by Unicode's rules, independent of the locale.
std::string lower_case(std::string_view text);
std::string upper_case(std::string_view text);

}  // namespace alinea
