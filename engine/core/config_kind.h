// The types of a configuration's fields: how each is named in messages and --help, taken from JSON (false: mismatch) and given back to JSON.
// For config.cpp alone.
#pragma once
#include <fmt/format.h>

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "engine/core/config.h"

namespace alinea::config_detail {
using nlohmann::ordered_json;

template <class T>
struct Kind;

template <>
struct Kind<bool> {
  static std::string name() { return "true or false"; }
  static bool take(const ordered_json& j, bool& v) { return j.is_boolean() && (v = j.get<bool>(), true); }
  static ordered_json give(bool v) { return v; }
};
template <class T>
requires std::is_integral_v<T>
struct Kind<T> {
  static std::string name() { return std::is_unsigned_v<T> ? "whole number ≥ 0" : sizeof(T) == 4 ? "32-bit whole number" : "whole number"; }
  static bool take(const ordered_json& j, T& v) {
    if (!j.is_number_integer()) return false;
    bool fits = j.is_number_unsigned() ? std::in_range<T>(j.get<uint64_t>()) : std::in_range<T>(j.get<int64_t>());
    if (fits) v = j.get<T>();
    return fits;
  }
  static ordered_json give(T v) { return v; }
};
template <class T>
requires std::is_floating_point_v<T>
struct Kind<T> {
  static std::string name() { return "number"; }
  static bool take(const ordered_json& j, T& v) { return j.is_number() && (v = j.get<T>(), true); }
  static ordered_json give(T v) { return ordered_json::parse(fmt::format("{}", v)); }  // shortest text of T: 0.1f is written 0.1
};
template <>
struct Kind<std::string> {
  static std::string name() { return "text"; }
  static bool take(const ordered_json& j, std::string& v) { return j.is_string() && (v = j.get<std::string>(), true); }
  static ordered_json give(const std::string& v) { return v; }
};
template <class T>
struct Kind<std::vector<T>> {
  static std::string name() { return fmt::format("list of ({})", Kind<T>::name()); }
  static bool take(const ordered_json& j, std::vector<T>& v) {
    if (!j.is_array()) return false;
    std::vector<T> all;
    for (auto& part : j) {
      T one{};
      if (!Kind<T>::take(part, one)) return false;
      all.push_back(one);
    }
    v = std::move(all);
    return true;
  }
  static ordered_json give(const std::vector<T>& v) {
    ordered_json all = ordered_json::array();
    for (T one : v) all.push_back(Kind<T>::give(one));
    return all;
  }
};
template <class T>
struct Kind<std::optional<T>> {
  static std::string name() { return Kind<T>::name() + " or null"; }
  static bool take(const ordered_json& j, std::optional<T>& v) {
    if (j.is_null()) return v.reset(), true;
    T one{};
    return Kind<T>::take(j, one) && (v = one, true);
  }
  static ordered_json give(const std::optional<T>& v) { return v ? Kind<T>::give(*v) : ordered_json(nullptr); }
};
template <class T>
struct Kind<std::map<std::string, T>> {
  static std::string name() { return fmt::format("object of ({})", Kind<T>::name()); }
  static bool take(const ordered_json& j, std::map<std::string, T>& v) {
    if (!j.is_object()) return false;
    std::map<std::string, T> all;
    for (auto& [key, part] : j.items())
      if (!Kind<T>::take(part, all[key])) return false;
    v = std::move(all);
    return true;
  }
  static ordered_json give(const std::map<std::string, T>& v) {
    ordered_json all = ordered_json::object();
    for (auto& [key, one] : v) all[key] = Kind<T>::give(one);
    return all;
  }
};

template <>
struct Kind<JsonText> {
  static std::string name() { return "name, object or list"; }
  static bool take(const ordered_json& j, JsonText& v) { return v.text = j.dump(), true; }
  static ordered_json give(const JsonText& v) { return ordered_json::parse(v.text); }
};

}  // namespace alinea::config_detail
