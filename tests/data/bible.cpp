// The recipe "bible": markup becomes text, verses meet by their names, chapters are held out whole.
#include "data/recipes/bible.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <set>

#include "data/text_dataset.h"
#include "tests/data/temporary.h"

using namespace alinea;
namespace fs = std::filesystem;

namespace {

// 60 chapters of 4 verses; the second language lacks a verse and has one more.
std::string imp(const std::string& language) {
  std::string text = "$$$[ Module Heading ]\n\n$$$Genesis 0:0\n<div/>front\n";
  for (int chapter = 1; chapter <= 60; ++chapter) {
    text += fmt::format("$$$Genesis {}:0\n<chapter n=\"{}\"/>\n", chapter, chapter);
    for (int verse = 1; verse <= 4; ++verse) {
      if (language == "es" && chapter == 7 && verse == 2) continue;
      text += fmt::format("$$$Genesis {}:{}\n<w lemma=\"x\">{}</w> word {} of {}<note>no</note>.\n", chapter, verse, language, verse, chapter);
    }
  }
  if (language == "es") text += "$$$Genesis 61:1\nsolo\n";
  return text;
}

// A folder with a mod2imp that prints these texts, first in PATH.
struct Tools {
  TemporaryFolder folder;
  std::string path = std::getenv("PATH");
  Tools() {
    std::ofstream(folder / "en.imp") << imp("en");
    std::ofstream(folder / "es.imp") << imp("es");
    std::ofstream(folder / "mod2imp") << "#!/bin/sh\ntest -d \"$SWORD_PATH\" || exit 1\ncase $1 in engWEB2015eb) cat " << (folder / "en.imp")
                                      << " ;; spaRV1909eb) cat " << (folder / "es.imp") << " ;; *) exit 1 ;; esac\n";
    fs::permissions(folder / "mod2imp", fs::perms::owner_all);
    setenv("PATH", (fs::path(folder / "mod2imp").parent_path().string() + ":" + path).c_str(), 1);
  }
  ~Tools() { setenv("PATH", path.c_str(), 1); }
};

BibleOptions options(const Tools& t) {
  BibleOptions o;
  o.to = "es", o.joint = true, o.out = t.folder / "out", o.sword = fs::path(t.folder / "out").parent_path();
  o.subwords.vocabulary = 60;
  return o;
}

}  // namespace

TEST_CASE("a verse's markup leaves its words") {
  CHECK(plain_verse("<w lemma=\"a\">In</w> the <w>beginning</w>, <w>God</w><note n=\"1\">The <b>Hebrew</b> word</note><w>created</w> all.") ==
        "In the beginning, God created all.");
  CHECK(plain_verse("<title type=\"psalm\">A Psalm.</title> <l sID=\"1\"/>Yahweh, how<l eID=\"1\"/><l sID=\"2\"/>Many  \n rise <div eID=\"g\"/> .") ==
        "Yahweh, how Many rise.");
  CHECK(plain_verse("Tom &amp; &quot;Ann&quot; &lt;3 &amp;lt;") == "Tom & \"Ann\" <3 &lt;");
  CHECK(plain_verse("cut <w lemma") == "cut");
  CHECK(plain_verse("cut <note>never closed") == "cut");
  CHECK(plain_verse("<title/>x <divineName>Lord</divineName>") == "x Lord");
}

TEST_CASE("verses are read in order, without headings and empty ones") {
  const auto verses = parse_verses("$$$[ Module Heading ]\n\n$$$I Kings 1:0\n<chapter/>\n$$$I Kings 1:1\nKing David\n$$$I Kings 1:2\n<note>gone</note>\n$$$I Kings 1:3\nwas old", "x");
  REQUIRE(verses.size() == 2);
  CHECK(verses[0].key == "I Kings 1:1");
  CHECK(verses[0].text == "King David");
  CHECK(verses[1].key == "I Kings 1:3");
  CHECK(error_of(Exit::data, [] { parse_verses("nothing here", "module x"); }).find("module x holds no verses") != std::string::npos);
}

TEST_CASE("the bible recipe joins verses by name and holds out whole chapters") {
  const Tools tools;
  const TextSummary s = prepare_bible(options(tools));
  CHECK(s.train + s.dev + s.test == 239);                    // 60 chapters of 4, one verse missing
  CHECK(s.dev > 0);
  CHECK(s.test > 0);
  std::map<std::string, std::set<std::string>> splits;       // chapter -> splits
  for (const char* split : {"train", "dev", "test"}) {
    const TextDataset d = TextDataset::open(tools.folder / "out", split);
    for (int64_t i = 0; i < d.size(); ++i) {
      const std::string source = d.row(i).src_text, target = d.row(i).tgt_text;
      CHECK(source.substr(2) == target.substr(2));           // "en word 3 of 12." and "es word 3 of 12."
      splits[source.substr(source.rfind(' '))].insert(split);
    }
  }
  CHECK(splits.size() == 60);
  for (const auto& [chapter, in] : splits) CHECK(in.size() == 1);
}

TEST_CASE("the bible recipe says what is missing") {
  const Tools tools;
  BibleOptions o = options(tools);
  o.sword = "/nowhere";
  CHECK(error_of(Exit::data, [&] { prepare_bible(o); }).find("apt-get install libsword-utils sword-text-sparv") != std::string::npos);
  o.to = "de";
  CHECK(error_of(Exit::usage, [&] { prepare_bible(o); }).find("no translation for 'de'") != std::string::npos);
  o.to = "en";
  CHECK(error_of(Exit::usage, [&] { prepare_bible(o); }).find("two languages") != std::string::npos);
}
