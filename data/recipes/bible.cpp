#include "data/recipes/bible.h"

#include <fmt/format.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <zlib.h>

#include <array>
#include <cstdio>
#include <map>
#include <memory>

#include "engine/core/error.h"

namespace alinea {

namespace {

struct Translation {
  std::string_view language, module, package;
};
constexpr std::array<Translation, 2> translations{{{"en", "engWEB2015eb", "sword-text-web"}, {"es", "spaRV1909eb", "sword-text-sparv"}}};

const Translation& translation_of(const std::string& language) {
  for (const Translation& t : translations)
    if (t.language == language) return t;
  fail(Exit::usage, "bible: no translation for '{}'; there are en and es", language);
}

bool is_named(std::string_view tag, std::initializer_list<std::string_view> names) {
  const std::string_view name = tag.substr(0, tag.find_first_of(" />"));
  for (const std::string_view n : names)
    if (name == n) return true;
  return false;
}

// One space between words, none before the marks that end a phrase.
std::string tidy(const std::string& text) {
  std::string out;
  bool space = false;
  for (const char c : text) {
    if (c == ' ' || c == '\n' || c == '\r' || c == '\t') {
      space = true;
      continue;
    }
    if (space && !out.empty() && std::string_view(",.;:!?)").find(c) == std::string_view::npos) out += ' ';
    space = false;
    out += c;
  }
  return out;
}

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (size_t i = text.find(from); i != std::string::npos; i = text.find(from, i + to.size())) text.replace(i, from.size(), to);
}

std::string read_module(const Translation& t, const std::filesystem::path& sword) {
  setenv("SWORD_PATH", sword.c_str(), 1);
  const std::string command = fmt::format("mod2imp {} 2>/dev/null", t.module);
  FILE* pipe = popen(command.c_str(), "r");
  require_data(pipe != nullptr, "bible: {} could not be started", command);
  std::string text, piece(1 << 16, '\0');
  for (size_t n; (n = fread(piece.data(), 1, piece.size(), pipe)) > 0;) text.append(piece, 0, n);
  const int status = pclose(pipe);
  require_data(status == 0 && !text.empty(), "bible: 'mod2imp {}' gave no text (exit code {}, texts looked for in {}); install it with: apt-get install libsword-utils {}",
               t.module, WIFEXITED(status) ? WEXITSTATUS(status) : status, sword.string(), t.package);
  return text;
}

// Which split the chapter of a verse belongs to: 0 test, 1 dev, others train.
uint32_t place_of(const std::string& key) {
  const std::string chapter = key.substr(0, key.rfind(':'));
  return uint32_t(crc32(0, reinterpret_cast<const Bytef*>(chapter.data()), uInt(chapter.size()))) % 40;
}

}  // namespace

std::string plain_verse(std::string_view markup) {
  std::string text;
  for (size_t i = 0; i < markup.size();) {
    if (markup[i] != '<') {
      text += markup[i++];
      continue;
    }
    const size_t close = std::min(markup.find('>', i), markup.size() - 1);
    const std::string_view tag = markup.substr(i + 1, close - i - 1);
    i = close + 1;
    if (is_named(tag, {"note", "title"}) && !tag.ends_with('/')) {
      const std::string end = "</" + std::string(tag.substr(0, tag.find(' '))) + ">";
      i = std::min(markup.find(end, i), markup.size());
      i = std::min(i + end.size(), markup.size());
      text += ' ';
    } else if (is_named(tag, {"div", "l", "lg", "lb", "milestone", "chapter", "item", "list", "/div", "/l", "/lg", "/item", "/list"})) {
      text += ' ';                                           // lines and paragraphs part words; <w> and its like do not
    }
  }
  for (const auto& [entity, character] : {std::pair{"&lt;", "<"}, {"&gt;", ">"}, {"&quot;", "\""}, {"&apos;", "'"}, {"&amp;", "&"}}) replace_all(text, entity, character);
  return tidy(text);
}

std::vector<Verse> parse_verses(std::string_view imp, const std::string& place) {
  std::vector<Verse> verses;
  for (size_t i = imp.find("$$$"); i < imp.size();) {
    const size_t line = std::min(imp.find('\n', i), imp.size()), next = std::min(imp.find("\n$$$", line), imp.size());
    const std::string_view key = imp.substr(i + 3, line - i - 3);
    const size_t colon = key.rfind(':');
    if (colon != std::string_view::npos && key.substr(colon) != ":0") {
      std::string text = plain_verse(imp.substr(line, next - line));
      if (!text.empty()) verses.push_back({std::string(key), std::move(text)});
    }
    i = next == imp.size() ? next : next + 1;
  }
  require_data(!verses.empty(), "bible: {} holds no verses; expected lines such as $$$Genesis 1:1", place);
  return verses;
}

TextSummary prepare_bible(const BibleOptions& o) {
  require_new_folder("bible", o.out);
  require(o.from != o.to, "bible: from {} to {}; choose two languages, en and es", o.from, o.to);
  const Translation &source = translation_of(o.from), &target = translation_of(o.to);
  std::map<std::string, std::string> translated;
  for (Verse& v : parse_verses(read_module(target, o.sword), std::string(target.module))) translated.emplace(std::move(v.key), std::move(v.text));
  TextCorpus c{.recipe = "bible", .train = {}, .dev = {}, .test = {}};
  for (TextPairs* p : {&c.train, &c.dev, &c.test}) p->source_name = source.module, p->target_name = target.module;
  for (Verse& v : parse_verses(read_module(source, o.sword), std::string(source.module))) {
    const auto match = translated.find(v.key);
    if (match == translated.end()) continue;
    const uint32_t place = place_of(v.key);
    TextPairs& split = place == 0 ? c.test : place == 1 ? c.dev : c.train;
    split.source.push_back(std::move(v.text));
    split.target.push_back(match->second);
  }
  require_data(c.train.size() > 0 && c.dev.size() > 0 && c.test.size() > 0,
               "bible: {} and {} share {} train, {} dev and {} test verses; expected some of each: are the texts whole?", source.module, target.module,
               c.train.size(), c.dev.size(), c.test.size());
  return write_text_corpus(std::move(c), o);
}

}  // namespace alinea
