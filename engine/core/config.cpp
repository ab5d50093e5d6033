#include "engine/core/config.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "engine/core/config_kind.h"
#include "engine/core/error.h"

namespace alinea {
using json = nlohmann::ordered_json;
using config_detail::Kind;

// One value of the tree. Objects keep their members here, in order; everything else is a json value without objects' positions.
struct Config::Node {
  std::string path;   // dotted name from the root
  std::string place;  // "file:line" or "--set a.b"
  bool object = false;
  bool known = false;              // asked for by field(), at() or ignore()
  json value;                      // when not an object
  std::optional<std::string> raw;  // the characters given to set()
  std::string type, help;          // filled by field()
  std::vector<std::pair<std::string, std::shared_ptr<Node>>> members;

  Node* find(std::string_view name) const {
    for (auto& [key, node] : members)
      if (key == name) return node.get();
    return nullptr;
  }
  std::shared_ptr<Node> add(std::string_view name, std::string where) {
    auto child = std::make_shared<Node>();
    child->path = path.empty() ? std::string(name) : path + "." + std::string(name);
    child->place = std::move(where);
    members.emplace_back(name, child);
    return child;
  }
  void fill(const json& from) {  // an object given to set(): every part of it stands at the same place
    object = from.is_object();
    members.clear();
    if (!object)
      value = from;
    else
      for (auto& [key, inner] : from.items()) add(key, place)->fill(inner);
  }
  json to_json() const {
    if (!object) return value;
    json out = json::object();
    for (auto& [key, node] : members) out[key] = node->to_json();
    return out;
  }
  std::string shown() const {
    if (object) return "an object";
    std::string text = value.dump();
    return text.size() > 40 ? text.substr(0, 37) + "..." : text;
  }
};

namespace {

// Walks over text and counts lines: the parser has read exactly up to the closing quote when it reports a key.
struct CountingIterator {
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;
  const char* at;
  int64_t* line;
  reference operator*() const { return *at; }
  CountingIterator& operator++() {
    if (*at == '\n') ++*line;
    ++at;
    return *this;
  }
  bool operator==(const CountingIterator& other) const { return at == other.at; }
  bool operator!=(const CountingIterator& other) const { return at != other.at; }
};

int64_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<int64_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = int64_t(j);
  for (size_t i = 1; i <= a.size(); ++i) {
    int64_t diagonal = std::exchange(row[0], int64_t(i));
    for (size_t j = 1; j <= b.size(); ++j) {
      int64_t replaced = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row.back();
}

std::string_view leaf(std::string_view path) { return path.substr(path.rfind('.') + 1); }
std::string_view parent(std::string_view path) { return path.substr(0, path.size() - leaf(path).size()); }

}  // namespace

// Receives the parser's events and builds the tree, with the line of every key.
struct Config::Reader : nlohmann::json_sax<json> {
  std::string name;
  int64_t line = 1;
  std::shared_ptr<Node> root;
  std::vector<std::shared_ptr<Node>> objects;  // open objects, outermost first
  std::shared_ptr<Node> pending;               // the member whose value comes next
  std::vector<json> arrays;                    // open arrays, with plain objects inside them
  std::vector<std::string> keys;               // the key each open container inside an array has in its parent ("" in an array)
  std::string inner_key;

  std::string place() const { return fmt::format("{}:{}", name, line); }

  void refuse_depth() const {  // printing and freeing a tree recurse, and every node spells out its path
    require(objects.size() + arrays.size() < 64, "{}: nested more than 64 deep", place());
  }
  bool put(json v) {
    if (!arrays.empty()) {
      if (arrays.back().is_array())
        arrays.back().push_back(std::move(v));
      else
        arrays.back()[inner_key] = std::move(v);
      return true;
    }
    require(pending != nullptr, "{}: expected an object {{...}} as the whole configuration, found {}", place(), v.dump());
    pending->value = std::move(v);
    pending.reset();
    return true;
  }
  bool open_inner(json v) {
    keys.push_back(inner_key);
    arrays.push_back(std::move(v));
    return true;
  }
  bool close_inner() {
    json v = std::move(arrays.back());
    arrays.pop_back();
    inner_key = std::move(keys.back());
    keys.pop_back();
    return put(std::move(v));
  }
  bool null() override { return put(nullptr); }
  bool boolean(bool v) override { return put(v); }
  bool number_integer(json::number_integer_t v) override { return put(v); }
  bool number_unsigned(json::number_unsigned_t v) override { return put(v); }
  bool number_float(json::number_float_t v, const std::string&) override { return put(v); }
  bool string(std::string& v) override { return put(v); }
  bool binary(json::binary_t& v) override { return put(json::binary(v)); }
  bool start_array(size_t) override {
    refuse_depth();
    require(!arrays.empty() || pending, "{}: expected an object {{...}} as the whole configuration, found a list", place());
    return open_inner(json::array());
  }
  bool end_array() override { return close_inner(); }
  bool start_object(size_t) override {
    refuse_depth();
    if (!arrays.empty()) return open_inner(json::object());
    auto node = pending ? pending : root;
    node->object = true;
    pending.reset();
    objects.push_back(node);
    return true;
  }
  bool end_object() override {
    if (!arrays.empty()) return close_inner();
    objects.pop_back();
    return true;
  }
  bool key(std::string& k) override {
    require(k.size() <= 1000, "{}: a key of {} bytes; at most 1000 are possible", place(), k.size());
    if (!arrays.empty()) {
      require(!arrays.back().contains(k), "{}: key \"{}\" is given twice in one object", place(), k);
      inner_key = k;
      return true;
    }
    Node* before = objects.back()->find(k);
    require(!before, "{}: key \"{}\" was already given at {}; keep one of the two", place(), k, before ? before->place : "");
    pending = objects.back()->add(k, place());
    return true;
  }
  bool parse_error(size_t, const std::string&, const nlohmann::detail::exception& e) override {
    std::string what = e.what();
    fail(Exit::usage, "{}: not valid JSON: {}", place(), what.substr(what.find(']') + 2));
  }
};

Config::Config() : node_(std::make_shared<Node>()) { node_->object = true; }

Config Config::text(std::string_view text, std::string name) {
  Config config;
  Reader reader;
  reader.name = std::move(name);
  reader.root = config.node_;
  CountingIterator begin{text.data(), &reader.line}, end{text.data() + text.size(), &reader.line};
  json::sax_parse(begin, end, &reader, nlohmann::detail::input_format_t::json, true, true);
  return config;
}

Config Config::file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  require(bool(in), "configuration {}: can't be opened; check the path", path.string());
  std::string all((std::istreambuf_iterator<char>(in)), {});
  return text(all, path.string());
}

void Config::set(std::string_view dotted, std::string_view value) {
  std::string place = fmt::format("--set {}", dotted);
  auto node = node_;
  for (size_t begin = 0; begin <= dotted.size();) {
    size_t dot = std::min(dotted.find('.', begin), dotted.size());
    std::string_view name = dotted.substr(begin, dot - begin);
    require(!name.empty(), "{}: a name is empty; write --set model.d_model=256", place);
    require(node->object, "{}: {} is {}, not an object, so it has no \"{}\"", place, node->path, node->shown(), name);
    std::shared_ptr<Node> child;
    for (auto& [key, member] : node->members)
      if (key == name) child = member;
    if (!child) {
      child = node->add(name, place);
      child->object = dot < dotted.size();
    }
    node = child;
    begin = dot + 1;
  }
  json parsed = json::parse(value, nullptr, false);
  node->place = place;
  node->fill(parsed.is_discarded() ? json(std::string(value)) : parsed);
  node->raw = std::string(value);
}

void Config::assign(std::string_view assignment) {
  size_t equals = assignment.find('=');
  require(equals != assignment.npos && equals > 0, "--set {}: expected name=value, e.g. --set model.d_model=256", assignment);
  set(assignment.substr(0, equals), assignment.substr(equals + 1));
}

Config Config::at(std::string_view name) {
  for (auto& [key, node] : node_->members)
    if (key == name) {
      require(node->object, "{}: \"{}\" is {}, expected an object {{...}}", node->place, node->path, node->shown());
      node->known = true;
      return Config(node);
    }
  auto made = node_->add(name, "default");
  made->object = made->known = true;
  return Config(made);
}

bool Config::has(std::string_view name) const { return node_->find(name) != nullptr; }

std::string Config::dump() const { return node_->to_json().dump(2) + "\n"; }

void Config::describe(std::string_view help) { node_->help = help; }

void Config::ignore(std::string_view name) {
  auto mark = [](auto& self, Node& node) -> void {
    node.known = true;
    for (auto& [key, inner] : node.members) self(self, *inner);
  };
  if (Node* node = node_->find(name)) mark(mark, *node);
}

template <class T>
void Config::read(std::string_view name, T& value, std::string_view help) {
  Node* node = node_->find(name);
  if (!node) {
    node = node_->add(name, "default").get();
  } else {
    json found = node->to_json();
    if constexpr (std::is_same_v<T, std::string> || std::is_same_v<T, std::optional<std::string>>)
      if (node->raw && !found.is_string() && !found.is_null()) found = *node->raw;
    require(Kind<T>::take(found, value), "{}: \"{}\" is {}, expected {} ({})", node->place, node->path, node->shown(), Kind<T>::name(),
            help);
  }
  node->fill(Kind<T>::give(value));
  node->type = Kind<T>::name();
  node->help = help;
  ignore(name);
}

template void Config::read(std::string_view, bool&, std::string_view);
template void Config::read(std::string_view, int&, std::string_view);
template void Config::read(std::string_view, int64_t&, std::string_view);
template void Config::read(std::string_view, uint64_t&, std::string_view);
template void Config::read(std::string_view, float&, std::string_view);
template void Config::read(std::string_view, double&, std::string_view);
template void Config::read(std::string_view, std::string&, std::string_view);
template void Config::read(std::string_view, JsonText&, std::string_view);
template void Config::read(std::string_view, std::vector<bool>&, std::string_view);
template void Config::read(std::string_view, std::vector<int>&, std::string_view);
template void Config::read(std::string_view, std::vector<int64_t>&, std::string_view);
template void Config::read(std::string_view, std::vector<uint64_t>&, std::string_view);
template void Config::read(std::string_view, std::vector<float>&, std::string_view);
template void Config::read(std::string_view, std::vector<double>&, std::string_view);
template void Config::read(std::string_view, std::vector<std::string>&, std::string_view);
template void Config::read(std::string_view, std::optional<bool>&, std::string_view);
template void Config::read(std::string_view, std::optional<int>&, std::string_view);
template void Config::read(std::string_view, std::optional<int64_t>&, std::string_view);
template void Config::read(std::string_view, std::optional<uint64_t>&, std::string_view);
template void Config::read(std::string_view, std::optional<float>&, std::string_view);
template void Config::read(std::string_view, std::optional<double>&, std::string_view);
template void Config::read(std::string_view, std::optional<std::string>&, std::string_view);
template void Config::read(std::string_view, std::map<std::string, bool>&, std::string_view);
template void Config::read(std::string_view, std::map<std::string, int>&, std::string_view);
template void Config::read(std::string_view, std::map<std::string, int64_t>&, std::string_view);
template void Config::read(std::string_view, std::map<std::string, uint64_t>&, std::string_view);
template void Config::read(std::string_view, std::map<std::string, float>&, std::string_view);
template void Config::read(std::string_view, std::map<std::string, double>&, std::string_view);
template void Config::read(std::string_view, std::map<std::string, std::string>&, std::string_view);

std::vector<Config::Field> Config::listed() const {
  std::vector<Field> all;
  auto walk = [&](auto& self, const Node& node) -> void {
    if (!node.type.empty())
      all.push_back({node.path, node.type, node.to_json().dump(), node.help});
    else
      for (auto& [key, inner] : node.members) self(self, *inner);
  };
  walk(walk, *node_);
  return all;
}

void Config::refuse_unread() const {
  std::vector<const Node*> known, unknown;
  auto walk = [&](auto& self, const Node& node) -> void {
    for (auto& [key, inner] : node.members) {
      (inner->known ? known : unknown).push_back(inner.get());
      if (inner->known) self(self, *inner);
    }
  };
  walk(walk, *node_);
  if (unknown.empty()) return;
  const Node& first = *unknown[0];
  auto distance = [&](const Node* k) { return edit_distance(leaf(k->path), leaf(first.path)) + (parent(k->path) != parent(first.path)); };
  auto nearest = std::min_element(known.begin(), known.end(), [&](auto* a, auto* b) { return distance(a) < distance(b); });
  std::string hint = nearest == known.end() ? "no key is known here" : fmt::format("the nearest known key is \"{}\"", (*nearest)->path);
  fail(Exit::usage, "{}: unknown key \"{}\"; {}", first.place, first.path, hint);
}

}  // namespace alinea
