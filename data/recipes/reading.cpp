#include "data/recipes/reading.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>

#include "data/recipes/embedded.h"
#include "engine/core/error.h"

namespace alinea {
namespace {

std::vector<std::string> split_words(const std::string& text) {
  std::istringstream stream(text);
  std::vector<std::string> words;
  for (std::string word; stream >> word;) {
    // "[and" and ">]" are two symbols each
    const bool opens = word.size() > 1 && word.front() == '[', closes = word.size() > 1 && word.back() == ']';
    if (opens) words.push_back("["), word.erase(0, 1);
    if (closes) word.pop_back();
    words.push_back(word);
    if (closes) words.push_back("]");
  }
  return words;
}

std::string recording(const std::string& name) { return name.find('/') == std::string::npos ? "digits/" + name : name; }

}  // namespace

std::vector<std::string> Reading::languages() {
  std::vector<std::string> result;
  for (const EmbeddedFile& file : embedded_files())
    if (file.name.starts_with("readings/")) result.emplace_back(file.name.substr(9, file.name.size() - 9 - 5));
  return result;
}

Reading Reading::of(std::string_view language) {
  const auto text = embedded_file(fmt::format("readings/{}.json", language));
  require(text.has_value(), "announcements: no recordings and reading rules for the source language '{}'; choose one of: {}", language,
          [] {
            std::string all;
            for (const auto& name : languages()) all += (all.empty() ? "" : ", ") + name;
            return all;
          }());
  const auto json = nlohmann::json::parse(*text);
  Reading reading;
  reading.language_ = language;
  reading.folder_ = json.at("folder");
  for (const auto& item : json.at("rules")) {
    Rule rule;
    rule.from = item.at("from"), rule.to = item.value("to", int64_t(-1)), rule.by = item.value("by", int64_t(0));
    rule.sayable = !item.at("say").is_null();
    if (rule.sayable) rule.say = split_words(item.at("say"));
    reading.rules_.push_back(rule);
  }
  for (const auto& [name, entries] : json.at("forms").items())
    for (const auto& [number, say] : entries.items()) reading.forms_[name][std::stoll(number)] = split_words(say);
  reading.add_words(json.at("words"));
  return reading;
}

void Reading::add_words(const nlohmann::json& words) {
  for (const auto& [name, word] : words.items()) words_[name] = word;
}

std::optional<std::vector<std::string>> Reading::read(int64_t number, std::string_view form) const {
  const auto found = forms_.find(std::string(form));
  require(form.empty() || found != forms_.end(), "announcements: the reading rules of '{}' have no form '{}'; name one that readings/{}.json lists",
          language_, form, language_);
  std::vector<std::string> out;
  if (!append(number, form.empty() ? nullptr : &found->second, out)) return std::nullopt;
  return out;
}

bool Reading::append(int64_t number, const Form* form, std::vector<std::string>& out) const {
  if (form) {
    if (const auto special = form->find(number); special != form->end()) {
      for (const auto& name : special->second) out.push_back(recording(name));
      return true;
    }
  }
  auto after = std::upper_bound(rules_.begin(), rules_.end(), number, [](int64_t n, const Rule& rule) { return n < rule.from; });
  if (after == rules_.begin()) return false;
  const Rule& rule = *--after;
  if (!rule.sayable || (rule.to >= 0 && number > rule.to)) return false;
  const int64_t rest = rule.by ? number % rule.by : number - rule.from;
  bool skipping = false;
  for (const std::string& symbol : rule.say) {
    if (symbol == "[") {
      skipping = rest == 0;
    } else if (symbol == "]") {
      skipping = false;
    } else if (skipping) {
      continue;
    } else if (symbol == "#") {
      out.push_back(recording(std::to_string(number)));
    } else if (symbol == ">") {
      if (!append(rest, form, out)) return false;
    } else if (symbol.front() == '<') {
      const Form* other = symbol.size() > 1 ? &forms_.at(symbol.substr(1)) : nullptr;
      if (!append(number / rule.by, other, out)) return false;
    } else {
      out.push_back(recording(symbol));
    }
  }
  return true;
}

std::string Reading::words(std::span<const std::string> recordings) const {
  std::string text;
  for (const std::string& name : recordings) {
    const auto found = words_.find(name);
    require_data(found != words_.end(), "announcements: no words for the recording '{}' of language '{}'; add it under \"words\" in the template file",
                 name, language_);
    if (!text.empty() && text.back() == '-') text.pop_back();
    else if (!text.empty()) text += ' ';
    text += found->second;
  }
  return text;
}

}  // namespace alinea
