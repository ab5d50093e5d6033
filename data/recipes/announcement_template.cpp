#include "data/recipes/announcement_template.h"

#include <zlib.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <sstream>

#include "data/recipes/embedded.h"
#include "engine/core/error.h"

namespace alinea {

using Json = nlohmann::json;

std::string_view name_of(Split split) { return split == Split::train ? "train" : split == Split::dev ? "dev" : "test"; }

Split split_of(std::string_view key) {
  const uint32_t hash = uint32_t(crc32(0, reinterpret_cast<const Bytef*>(key.data()), uInt(key.size()))) % 20;
  return hash == 0 ? Split::test : hash == 1 ? Split::dev : Split::train;
}

/// A drawn number, digit string, date or time: its fields by name ("" is a number itself), its key, and whether one word says it.
struct AnnouncementTemplate::Value {
  std::map<std::string, int64_t> fields;
  std::vector<int64_t> digits;
  std::string key;
  bool single_word = false;
};

namespace {

const std::map<std::string, std::vector<std::string>> fields_of = {{"number", {""}},
                                                                   {"digits", {""}},
                                                                   {"date", {"weekday", "month", "day"}},
                                                                   {"clock", {"hour12", "hour24", "minute", "half"}}};

std::string joined(const std::vector<std::string>& items) {
  std::string all;
  for (const auto& item : items) all += (all.empty() ? "" : ", ") + item;
  return all;
}

/// d digits with probability ∝ d, then uniform ones; each after the first is 0 with an extra 8 %, so round numbers occur too.
int64_t draw_digits(int64_t count, Draw& random) {
  int64_t number = random.integer(count > 1 ? 1 : 0, 9);
  for (int64_t i = 1; i < count; ++i) number = number * 10 + (random.uniform() < 0.08 ? 0 : random.integer(0, 9));
  return number;
}

int64_t draw_length(int64_t most, Draw& random) {
  int64_t ticket = random.integer(1, most * (most + 1) / 2), count = 1;
  while (ticket > count) ticket -= count++;
  return count;
}

}  // namespace

AnnouncementTemplate AnnouncementTemplate::open(const std::string& from, const std::string& to, const std::string& kind,
                                                const std::filesystem::path& file) {
  require(kind == "mix" || kind == "numbers", "announcements: unknown kind '{}'; choose mix or numbers", kind);
  AnnouncementTemplate result(Reading::of(from), SpellOut(to));
  if (!file.empty()) {
    std::ifstream stream(file);
    require(stream.good(), "announcements: template {} cannot be opened; check the path", file.string());
    result.parse(std::string{std::istreambuf_iterator<char>(stream), {}}, file.string());
  } else {
    const std::string name = fmt::format("announcements/{}-{}.json", from, to);
    const auto own = embedded_file(name);
    require(own || kind == "numbers", "announcements: there is no mixture of kinds for {} → {}; use --kind numbers, or write a template (--template FILE)",
            from, to);
    result.parse(own ? *own : *embedded_file("announcements/any-any.json"), own ? name : "announcements/any-any.json");
  }
  if (kind == "numbers") {
    std::erase_if(result.kinds_, [](const Kind& k) { return k.name != "number"; });
    require(!result.kinds_.empty(), "announcements: the template has no kind named 'number'; use --kind mix or add one");
  }
  return result;
}

void AnnouncementTemplate::parse(std::string_view text, const std::string& place) try {
  const Json json = Json::parse(text, nullptr, true, true);
  if (json.contains("words")) reading_.add_words(json["words"]);
  if (json.contains("lists")) lists_ = json["lists"].get<decltype(lists_)>();
  for (const Json& item : json.at("kinds")) {
    Kind kind;
    kind.name = item.at("name"), kind.weight = item.value("weight", 1.0);
    require_data(kind.weight > 0, "{}: kind '{}': weight {}; expected a number above 0", place, kind.name, kind.weight);
    for (const auto& [name, spec] : item.at("values").items()) {
      require_data(spec.is_object() && spec.size() == 1 && fields_of.count(spec.begin().key()),
                   "{}: kind '{}': value '{}' must be {{TYPE: {{…}}}} with TYPE number, digits, date or clock", place, kind.name, name);
      const Json& options = spec.begin().value();
      ValueSpec value{name, spec.begin().key()};
      value.digits = options.value("digits", int64_t(6)), value.least = options.value("least", value.type == "digits" ? int64_t(3) : int64_t(0));
      value.most = options.value("most", int64_t(6)), value.whole_hours = options.value("whole_hours", 0.0);
      require_data(value.digits >= 1 && value.digits <= 6, "{}: kind '{}': value '{}' has {} digits; expected 1 … 6", place, kind.name, name, value.digits);
      require_data(value.type != "digits" || (value.least >= 2 && value.least <= value.most && value.most <= 18),
                   "{}: kind '{}': digits '{}' from {} to {}; expected 2 ≤ least ≤ most ≤ 18", place, kind.name, name, value.least, value.most);
      kind.values.push_back(value);
    }
    if (item.contains("cases")) {
      for (const Json& one : item["cases"]) kind.cases.push_back(parse_case(&one, kind, place));
    } else {
      kind.cases.push_back(parse_case(&item, kind, place));
    }
    require_data(!kind.cases.empty() && kind.cases.back().value.empty(), "{}: kind '{}': the last case must have no \"when\", so that one always applies",
                 place, kind.name);
    kinds_.push_back(kind);
  }
  require_data(!kinds_.empty(), "{}: no kinds; add at least one under \"kinds\"", place);
} catch (const nlohmann::json::exception& error) {
  fail(Exit::data, "{}: {}; docs/announcements.md explains the format", place, error.what());
}

AnnouncementTemplate::Case AnnouncementTemplate::parse_case(const void* item, const Kind& kind, const std::string& place) const {
  const Json& json = *static_cast<const Json*>(item);
  Case result;
  if (json.contains("when")) {
    std::istringstream when(json["when"].get<std::string>());
    std::string field, compare;
    when >> field >> compare >> result.number;
    const size_t dot = field.find('.');
    result.value = field.substr(0, dot), result.field = dot == std::string::npos ? "" : field.substr(dot + 1);
    const auto spec = std::find_if(kind.values.begin(), kind.values.end(), [&](const ValueSpec& v) { return v.name == result.value; });
    const bool known = spec != kind.values.end() && spec->type != "digits" &&
                       std::count(fields_of.at(spec->type).begin(), fields_of.at(spec->type).end(), result.field);
    require_data(!when.fail() && known && (compare == "=" || compare == "<" || compare == ">"),
                 "{}: kind '{}': \"when\": \"{}\" is not of the form VALUE.FIELD = NUMBER (or < or >) of a value of this kind", place, kind.name,
                 json["when"].get<std::string>());
    result.compare = compare[0];
  }
  result.say = parse_pieces(json.at("say"), kind, true, place);
  result.write = parse_pieces(json.at("write"), kind, false, place);
  return result;
}

std::vector<AnnouncementTemplate::Piece> AnnouncementTemplate::parse_pieces(const std::string& text, const Kind& kind, bool say,
                                                                            const std::string& place) const {
  std::istringstream stream(text);
  std::vector<Piece> pieces;
  for (std::string word; stream >> word;) {
    Piece piece{word, "", "", "", word.front() == '{'};
    if (piece.placeholder) {
      require_data(word.back() == '}', "{}: kind '{}': '{}' has no closing brace (a placeholder holds no spaces)", place, kind.name, word);
      std::string inside = word.substr(1, word.size() - 2);
      if (const size_t bar = inside.find('|'); bar != std::string::npos) piece.how = inside.substr(bar + 1), inside.resize(bar);
      if (const size_t dot = inside.find('.'); dot != std::string::npos) piece.field = inside.substr(dot + 1), inside.resize(dot);
      piece.value = inside;
      const auto spec = std::find_if(kind.values.begin(), kind.values.end(), [&](const ValueSpec& v) { return v.name == piece.value; });
      require_data(spec != kind.values.end(), "{}: kind '{}': '{}' names no value of this kind", place, kind.name, word);
      const auto& fields = fields_of.at(spec->type);
      require_data(std::count(fields.begin(), fields.end(), piece.field), "{}: kind '{}': '{}': a {} has the fields {}", place, kind.name, word,
                   spec->type, joined(fields));
      const bool known = piece.how.empty() || lists_.count(piece.how) || (say ? reading_.has_form(piece.how) : piece.how.front() == '%');
      require_data(known, "{}: kind '{}': '{}': '{}' is neither one of the lists nor {}", place, kind.name, word, piece.how,
                   say ? "a form of the reading rules (ordinal, …)" : "a rule set of ICU (%spellout-ordinal, …)");
    }
    pieces.push_back(piece);
  }
  require_data(!pieces.empty(), "{}: kind '{}': \"{}\" is empty", place, kind.name, say ? "say" : "write");
  return pieces;
}

std::optional<AnnouncementTemplate::Value> AnnouncementTemplate::draw_value(const ValueSpec& spec, Split split, Draw& random) const {
  static constexpr int64_t days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  const int64_t length = spec.type == "number" ? draw_length(spec.digits, random) : spec.type == "digits" ? random.integer(spec.least, spec.most) : 0;
  for (int attempt = 0; attempt < 500; ++attempt) {
    Value value;
    if (spec.type == "number") {
      const int64_t n = draw_digits(length, random);
      const auto words = n < spec.least ? std::nullopt : reading_.read(n);
      if (!words) continue;
      value = {{{"", n}}, {}, fmt::format("n{}", n), words->size() == 1};
    } else if (spec.type == "digits") {
      value.key = "n";
      for (int64_t i = 0; i < length; ++i) value.digits.push_back(random.integer(0, 9)), value.key += char('0' + value.digits.back());
    } else if (spec.type == "date") {
      const int64_t month = random.integer(0, 11), day = random.integer(1, 31);
      if (day > days[month]) continue;
      value = {{{"weekday", random.integer(0, 6)}, {"month", month}, {"day", day}}, {}, fmt::format("d{}-{}", month + 1, day), false};
    } else {
      const int64_t hour = random.integer(0, 23), minute = random.uniform() < spec.whole_hours ? 0 : random.integer(0, 59);
      value = {{{"hour24", hour}, {"hour12", hour % 12 ? hour % 12 : 12}, {"half", hour / 12}, {"minute", minute}}, {},
               fmt::format("t{:02}:{:02}", hour, minute), false};
    }
    if ((value.single_word ? Split::train : split_of(value.key)) == split) return value;
  }
  return std::nullopt;  // this length of number has none (single words in dev and test, or nothing that can be said)
}

void AnnouncementTemplate::say(const Piece& piece, const std::map<std::string, Value>& values, std::vector<std::string>& out) const {
  if (!piece.placeholder) return out.push_back(piece.text);
  const Value& value = values.at(piece.value);
  const bool form = !piece.how.empty() && reading_.has_form(piece.how);
  std::vector<int64_t> numbers = value.digits;
  if (numbers.empty()) numbers = {value.fields.at(piece.field)};
  for (const int64_t n : numbers) {
    if (!piece.how.empty() && !form) {
      out.push_back(lists_.at(piece.how).at(n));
      continue;
    }
    const auto words = reading_.read(n, piece.how);
    require_data(words.has_value(), "announcements: '{}' needs the number {}, for which this language has no recordings; change the template", piece.text, n);
    out.insert(out.end(), words->begin(), words->end());
  }
}

void AnnouncementTemplate::write(const Piece& piece, const std::map<std::string, Value>& values, std::vector<std::string>& out) const {
  if (!piece.placeholder) return out.push_back(piece.text);
  const Value& value = values.at(piece.value);
  std::vector<int64_t> numbers = value.digits;
  if (numbers.empty()) numbers = {value.fields.at(piece.field)};
  for (const int64_t n : numbers) {
    if (lists_.count(piece.how)) {
      std::istringstream words(lists_.at(piece.how).at(n));
      for (std::string word; words >> word;) out.push_back(word);
      continue;
    }
    for (auto& token : spell_out_.tokens(n, piece.how)) out.push_back(std::move(token));
  }
}

std::optional<Sentence> AnnouncementTemplate::try_draw(const Kind& kind, Split split, Draw& random) const try {
  std::map<std::string, Value> values;
  Sentence sentence{kind.name, {}, {}, {}};
  for (const ValueSpec& spec : kind.values) {
    auto value = draw_value(spec, split, random);
    if (!value) return std::nullopt;
    if (!value->single_word) sentence.keys.push_back(value->key);
    values[spec.name] = std::move(*value);
  }
  for (const Case& one : kind.cases) {
    if (!one.value.empty()) {
      const int64_t n = values.at(one.value).fields.at(one.field);
      if (!(one.compare == '=' ? n == one.number : one.compare == '<' ? n < one.number : n > one.number)) continue;
    }
    for (const Piece& piece : one.say) say(piece, values, sentence.recordings);
    for (const Piece& piece : one.write) write(piece, values, sentence.tokens);
    break;
  }
  return sentence;
} catch (const std::out_of_range&) {
  fail(Exit::data, "announcements: kind '{}': a list is shorter than its values (7 weekdays, 12 months, 2 halves of the day); complete it", kind.name);
}

Sentence AnnouncementTemplate::draw(Split split, RandomKey key) const {
  Draw random(key);
  double total = 0;
  for (const Kind& kind : kinds_) total += kind.weight;
  for (int attempt = 0; attempt < 1000; ++attempt) {
    double ticket = random.uniform(0, total);
    auto kind = kinds_.begin();
    for (; kind + 1 != kinds_.end() && ticket >= kind->weight; ++kind) ticket -= kind->weight;
    if (auto sentence = try_draw(*kind, split, random)) return *sentence;
  }
  fail(Exit::data, "announcements: no sentence of the split '{}' found in 1000 attempts; give the template values with more possibilities", name_of(split));
}

std::vector<std::string> AnnouncementTemplate::kinds() const {
  std::vector<std::string> names;
  for (const Kind& kind : kinds_) names.push_back(kind.name);
  return names;
}

std::vector<std::string> AnnouncementTemplate::fixed_recordings() const {
  std::vector<std::string> names;
  for (const Kind& kind : kinds_) {
    for (const Case& one : kind.cases) {
      for (const Piece& piece : one.say) {
        if (!piece.placeholder) names.push_back(piece.text);
        else if (const auto list = lists_.find(piece.how); list != lists_.end()) names.insert(names.end(), list->second.begin(), list->second.end());
      }
    }
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

}  // namespace alinea
