// Attributes that are lists: "2,3,-1".
#pragma once
#include <charconv>

#include "autograd/op_table.h"

namespace alinea {

inline std::vector<int64_t> numbers_of(const OpCall& call, const std::string& attribute) {
  const std::string text = call.text(attribute);
  std::vector<int64_t> numbers;
  const char *at = text.data(), *end = at + text.size();
  while (at < end) {
    int64_t n = 0;
    const auto [next, error] = std::from_chars(at, end, n);
    require(error == std::errc() && (next == end || (*next == ',' && next + 1 < end)), "op: attribute {}='{}' must be whole numbers with commas", attribute, text);
    numbers.push_back(n);
    at = next == end ? end : next + 1;
  }
  return numbers;
}

}  // namespace alinea
