// How a language reads numbers aloud with the recordings it has: 321 → digits/3 digits/hundred digits/20 digits/1.
// The rules are data (readings/LANGUAGE.json), of the kind that spell-out formats use:
//   "rules": [{"from": n, "by": d, "say": "…"}, …], sorted by n; the last rule with from ≤ number applies. In "say"
//     #        the recording named like the number itself         20     a recording (digits/ is put before a name without a slash)
//     <        the reading of ⌊number / by⌋                        <form  the same in a form (see below)
//     >        the reading of number mod by (by left out: number − from)   [ … ]  only if that rest is not 0
//   "say": null: there are no recordings for these numbers. "to" limits a # rule.
//   "forms": {"ordinal": {"3": "h-3"}}: in this form a number, or what is left of it at the end, is said otherwise.
//   "words": what each recording says, for transcripts; a trailing hyphen glues it to the next word.
#pragma once
#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace alinea {

class Reading {
 public:
  /// The built-in rules of a language: en, es, fr, it, ru. Throws Error{usage} for others.
  static Reading of(std::string_view language);
  static std::vector<std::string> languages();

  /// The recordings to play for a number; none if a word has no recording. Throws Error{usage} for an unknown form.
  std::optional<std::vector<std::string>> read(int64_t number, std::string_view form = "") const;
  bool has_form(std::string_view form) const { return forms_.count(std::string(form)) > 0; }

  /// What the recordings say, in words. Throws Error{data} for a recording that is not in "words".
  std::string words(std::span<const std::string> recordings) const;
  /// Adds or replaces words (a template file may bring its own).
  void add_words(const nlohmann::json& words);

  const std::string& folder() const { return folder_; }  // of this language below the folder of all sounds

 private:
  struct Rule {
    int64_t from = 0, to = -1, by = 0;
    bool sayable = true;
    std::vector<std::string> say;
  };
  using Form = std::map<int64_t, std::vector<std::string>>;
  bool append(int64_t number, const Form* form, std::vector<std::string>& out) const;

  std::string language_, folder_;
  std::vector<Rule> rules_;
  std::map<std::string, Form> forms_;
  std::map<std::string, std::string> words_;
};

}  // namespace alinea
