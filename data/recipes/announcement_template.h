// What is announced, as data: a template file (announcements/FROM-TO.json, or one's own) lists kinds of sentences with weights, the
// values each draws, and how it is said (recordings) and written (tokens). docs/announcements.md explains the format.
#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/recipes/reading.h"
#include "data/recipes/spell_out.h"
#include "engine/core/random.h"

namespace alinea {

enum class Split { train, dev, test };
std::string_view name_of(Split split);

/// The split that a number, date or time belongs to, whatever sentence it is in: crc32(key) mod 20 → 0 test, 1 dev, else train.
/// Keys: "n321" (digit strings: as spoken, "n043"), "d3-23" (23 March), "t14:05".
Split split_of(std::string_view key);

struct Sentence {
  std::string kind;
  std::vector<std::string> recordings;  // said one after the other
  std::vector<std::string> tokens;      // of the target text
  std::vector<std::string> keys;        // of its values of more than one word, which all belong to the sentence's split
};

class AnnouncementTemplate {
 public:
  /// The template of a pair. kind "mix": the file of the pair (Error{usage} if there is none); "numbers": its plain numbers, for any pair.
  /// A given file takes the place of the built-in one.
  static AnnouncementTemplate open(const std::string& from, const std::string& to, const std::string& kind,
                                   const std::filesystem::path& file = {});

  /// A sentence of a split, as a pure function of the key. Values of a single word (five, twenty) are heard in training only.
  Sentence draw(Split split, RandomKey key) const;

  const Reading& reading() const { return reading_; }
  std::vector<std::string> kinds() const;
  /// Every recording that a sentence names outright or through a list; number words come on top.
  std::vector<std::string> fixed_recordings() const;

 private:
  struct Value;                       // a drawn one
  struct ValueSpec {
    std::string name, type;           // number | digits | date | clock
    int64_t least = 0, most = 0, digits = 0;
    double whole_hours = 0;
  };
  struct Piece {                      // a word, or {value.field|how}
    std::string text, value, field, how;
    bool placeholder = false;
  };
  struct Case {
    std::string value, field;         // when value.field compares with `number`; no value: always
    char compare = 0;
    int64_t number = 0;
    std::vector<Piece> say, write;
  };
  struct Kind {
    std::string name;
    double weight = 1;
    std::vector<ValueSpec> values;
    std::vector<Case> cases;
  };

  AnnouncementTemplate(Reading reading, SpellOut spell_out) : reading_(std::move(reading)), spell_out_(std::move(spell_out)) {}
  void parse(std::string_view text, const std::string& place);
  std::vector<Piece> parse_pieces(const std::string& text, const Kind& kind, bool say, const std::string& place) const;
  Case parse_case(const void* json, const Kind& kind, const std::string& place) const;
  std::optional<Value> draw_value(const ValueSpec& spec, Split split, Draw& random) const;
  std::optional<Sentence> try_draw(const Kind& kind, Split split, Draw& random) const;
  void say(const Piece& piece, const std::map<std::string, Value>& values, std::vector<std::string>& out) const;
  void write(const Piece& piece, const std::map<std::string, Value>& values, std::vector<std::string>& out) const;

  Reading reading_;
  SpellOut spell_out_;
  std::vector<Kind> kinds_;
  std::map<std::string, std::vector<std::string>> lists_;
};

}  // namespace alinea
