// Configuration: a JSON tree (comments allowed) that knows where each value was written, so that every complaint names file and line.
//
//   struct ModelConfig {
//     int64_t d_model = 256;
//     std::string activation = "relu";
//     void fields(Config& c) {                             // the one list: loading, saving, --set, --help and unknown keys come from it
//       c.field("d_model", d_model, "model width");
//       c.field("activation", activation, "relu or gelu");
//     }
//   };
//   Config c = Config::file("run.json");
//   c.set("model.d_model", "512");                         // --set model.d_model=512
//   ModelConfig m;
//   c.field("model", m, "the model");                      // or: Config sub = c.at("model"); m.fields(sub);
//   c.refuse_unread();                                     // a misspelt key is an error that names the nearest known one
//   c.dump();                                              // resolved: what was written, and the defaults of the rest
//
// A Config is a view: copies and the results of at() share one tree. All errors are Exit::usage.
#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace alinea {

/// Any JSON value, kept as its text: for fields whose form the reader decides (a name, an object or a list).
struct JsonText {
  std::string text;
};

class Config {
 public:
  Config();                                                     // an empty object
  static Config file(const std::filesystem::path& path);        // path may be missing or malformed: errors name it
  static Config text(std::string_view json, std::string name);  // `name` stands for the file in messages

  /// Sets a value by its dotted path, making objects on the way. `value` is JSON if it parses as JSON, else a string;
  /// a field that wants a string takes the characters as given, so name=007 stays "007".
  void set(std::string_view dotted, std::string_view value);

  /// The same for one command-line argument "a.b=value".
  void assign(std::string_view assignment);

  /// View of the object under `name`, made when missing. Refuses a value that is not an object.
  Config at(std::string_view name);

  bool has(std::string_view name) const;
  std::string dump() const;  // indented JSON with a final newline, keys in the order written, then in the order declared

  /// Reads `name` into `value` when present, records the key, its help text and the resolved value.
  /// T: bool, int, int64_t, uint64_t, float, double, std::string; std::vector, std::optional (null) or std::map<std::string, ·> of
  /// those; JsonText; or a struct with a member `void fields(Config&)`. Whole numbers are accepted for float and double, nothing else is converted.
  template <class T>
  void field(std::string_view name, T& value, std::string_view help) {
    if constexpr (requires(Config & c) { value.fields(c); }) {
      Config inner = at(name);
      inner.describe(help);
      value.fields(inner);
    } else {
      read(name, value, help);
    }
  }

  /// Accepts a key that this program does not use, e.g. one that other readers of the same file need.
  void ignore(std::string_view name);

  /// Error when the tree holds a key that no field() asked for.
  void refuse_unread() const;

  struct Field {
    std::string name, type, value, help;  // dotted name; value: the default as JSON
  };
  /// The fields of a struct with their defaults, for --help.
  template <class T>
  static std::vector<Field> fields_of(T value) {
    Config all;
    value.fields(all);
    return all.listed();
  }
  std::vector<Field> listed() const;  // every field declared so far, in order

 private:
  struct Node;
  struct Reader;
  explicit Config(std::shared_ptr<Node> node) : node_(std::move(node)) {}
  template <class T>
  void read(std::string_view name, T& value, std::string_view help);  // instantiated in config.cpp for the types above
  void describe(std::string_view help);

  std::shared_ptr<Node> node_;
};

}  // namespace alinea
