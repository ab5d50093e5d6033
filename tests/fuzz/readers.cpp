#include "tests/fuzz/readers.h"

#include <nlohmann/json.hpp>

#include "data/tokenizers/sentencepiece.h"
#include "engine/core/config.h"
#include "models/hub/json_file.h"
#include "models/hub/pickle.h"
#include "models/hub/safetensors.h"
#include "models/hub/torch_zip.h"

namespace alinea {

namespace {

template <class F>
void accepting_refusal(F&& read) {
  try {
    read();
  } catch (const Error&) {
  }
}

void read_all(const TensorFile& file) {
  file.verify();
  for (const TensorEntry& e : file.entries())
    accepting_refusal([&] {                                 // a dtype that can be listed and not loaded refuses alone
      const Tensor t = file.load(e.name, Context::cpu());
      require(t.shape() == e.shape, "another shape");
      if (t.count() > 0) t.slice(0, 0, t.rank() > 0 ? t.size(0) : 1);
    });
}

struct AnyFields {
  int64_t number = 1;
  double real = 1;
  std::string text;
  std::vector<int64_t> list;
  std::map<std::string, double> table;
  std::optional<bool> flag;
  void fields(Config& c) {
    c.field("number", number, "a whole number");
    c.field("real", real, "a number");
    c.field("text", text, "a text");
    c.field("list", list, "whole numbers");
    c.field("table", table, "numbers by name");
    c.field("flag", flag, "yes, no or null");
  }
};

}  // namespace

void fuzz_config(std::string_view bytes) {
  accepting_refusal([&] { parse_json(bytes, "fuzz.json").dump(); });
  accepting_refusal([&] {
    Config c = Config::text(bytes, "fuzz.json");
    c.dump();
    AnyFields outer, inner;
    accepting_refusal([&] { outer.fields(c); });
    accepting_refusal([&] { c.field("inner", inner, "the same again"); });
    c.listed();
    c.dump();
    c.refuse_unread();
  });
}

void fuzz_pickle(std::string_view bytes) {
  accepting_refusal([&] { read_state_dictionary(bytes, "fuzz.pkl"); });
}

void fuzz_safetensors(std::string_view bytes) {
  accepting_refusal([&] { read_all(SafetensorsFile(FileBytes::copied("fuzz.safetensors", bytes))); });
}

void fuzz_torch_zip(std::string_view bytes) {
  accepting_refusal([&] { read_all(TorchZip(FileBytes::copied("fuzz.bin", bytes))); });
}

void fuzz_sentencepiece(std::string_view bytes) {
  accepting_refusal([&] {
    const SentencePieces pieces = SentencePieces::from_bytes(std::string(bytes), "fuzz.model");
    const std::vector<int32_t> ids = pieces.encode("Guten Tag,  die ½ Welt\t\xFF\xE2\x96\x81 ﬁn!");
    pieces.decode(ids);
    pieces.split("ab aa b");
    for (int32_t id = 0; id < std::min<int64_t>(pieces.size(), 100); ++id) pieces.find(pieces.piece(id));
  });
}

}  // namespace alinea
