#include "models/hub/pickle.h"

#include <array>
#include <cstring>
#include <deque>
#include <set>
#include <unordered_map>
#include <variant>

#include "models/hub/pickle_opcodes.h"
#include "models/hub/tensor_file.h"

namespace alinea {

namespace {

struct Value;
using Values = std::vector<Value>;

struct None {};
struct Mark {};
struct Class {
  std::string_view name;                                    // "module.name"
};
struct StorageReference {
  std::string_view dtype, key;
  int64_t count;
};
struct Sequence {
  Values* items;
};
struct Pair;
struct Dictionary {
  std::vector<Pair>* items;
};
// Containers live in the machine's arena, so that a value is small, copies are cheap and cycles can't leak.
struct Value : std::variant<None, Mark, bool, int64_t, double, std::string_view, Class, StorageReference, PickledTensor*, Sequence, Dictionary> {
  using variant::variant;
};
struct Pair {
  Value key, value;
};

struct StorageClass {
  std::string_view name, dtype;
};
constexpr std::array storage_classes{StorageClass{"torch.FloatStorage", "F32"}, StorageClass{"torch.DoubleStorage", "F64"}, StorageClass{"torch.HalfStorage", "F16"},
                                     StorageClass{"torch.BFloat16Storage", "BF16"}, StorageClass{"torch.LongStorage", "I64"}, StorageClass{"torch.IntStorage", "I32"},
                                     StorageClass{"torch.ShortStorage", "I16"}, StorageClass{"torch.CharStorage", "I8"}, StorageClass{"torch.ByteStorage", "U8"},
                                     StorageClass{"torch.BoolStorage", "BOOL"}};

constexpr std::string_view ordered_dict = "collections.OrderedDict", rebuild_tensor = "torch._utils._rebuild_tensor_v2", rebuild_parameter = "torch._utils._rebuild_parameter";

class Machine {
 public:
  Machine(std::string_view pickle, const std::string& place) : text_(pickle), place_(place) {}

  Value run() {
    while (true) {
      start_ = at_;
      const auto opcode = uint8_t(take(1)[0]);
      if (opcode == '.') return pop();
      step(opcode);
    }
  }

  template <class... A>
  void check(bool ok, fmt::format_string<A...> format, A&&... arguments) const {
    if (!ok) [[unlikely]] fail(Exit::data, "{}: pickle, byte {}: {}", place_, start_, fmt::vformat(format, fmt::make_format_args(arguments...)));
  }
  const std::string& place() const { return place_; }

 private:
  std::string_view take(size_t n) {
    check(n <= text_.size() - at_, "the pickle ends here, without STOP");
    const std::string_view part = text_.substr(at_, n);
    at_ += n;
    return part;
  }
  std::string_view line() {
    const size_t end = text_.find('\n', at_);
    check(end != std::string_view::npos, "a name without its line end");
    const std::string_view part = text_.substr(at_, end - at_);
    at_ = end + 1;
    return part;
  }
  template <class T>
  T number() {
    T value;
    std::memcpy(&value, take(sizeof(T)).data(), sizeof(T));
    return value;
  }
  double big_endian_double() {
    uint64_t bits = 0;
    for (const char c : take(8)) bits = bits << 8 | uint8_t(c);
    return std::bit_cast<double>(bits);
  }
  int64_t long_integer() {
    const std::string_view digits = take(number<uint8_t>());
    check(digits.size() <= 8, "an integer of {} bytes", digits.size());
    uint64_t value = !digits.empty() && (digits.back() & 0x80) ? ~uint64_t(0) : 0;
    for (size_t i = digits.size(); i-- > 0;) value = value << 8 | uint8_t(digits[i]);
    return int64_t(value);
  }

  void push(Value v) { stack_.push_back(v); }
  Value pop() {
    check(!stack_.empty() && !std::holds_alternative<Mark>(stack_.back()), "a value is missing on the stack");
    const Value v = stack_.back();
    stack_.pop_back();
    return v;
  }
  Value& top() {
    check(!stack_.empty(), "a value is missing on the stack");
    return stack_.back();
  }
  // What was pushed since the last mark.
  Values since_mark() {
    size_t n = stack_.size();
    while (n > 0 && !std::holds_alternative<Mark>(stack_[n - 1])) --n;
    check(n > 0, "a MARK is missing on the stack");
    Values items(stack_.begin() + int64_t(n), stack_.end());
    stack_.resize(n - 1);
    return items;
  }
  void push_sequence(Values items) { push(Sequence{&sequences_.emplace_back(std::move(items))}); }
  void push_last(size_t n) {
    Values items(n);
    while (n-- > 0) items[n] = pop();
    push_sequence(std::move(items));
  }
  void push_dictionary() { push(Dictionary{&dictionaries_.emplace_back()}); }
  void remember(uint32_t slot) { memo_[slot] = top(); }
  void recall(uint32_t slot) {
    const auto it = memo_.find(slot);
    check(it != memo_.end(), "memo {} was never set", slot);
    push(it->second);
  }

  template <class T>
  T as(const Value& v, const char* what) const {
    const T* p = std::get_if<T>(&v);
    check(p != nullptr, "expected {}", what);
    return *p;
  }

  void step(uint8_t opcode);
  void set_items(const Values& items);
  void append(const Values& items);
  void push_class();
  void push_text(size_t length);
  void call();
  void build();
  Value storage_of(const Value& id) const;
  Value tensor_of_arguments(const Values& a);
  Shape integers(const Value& v, const char* what) const;
  void refuse_outside(const PickledTensor& t) const;

  std::string_view text_;
  const std::string& place_;
  size_t at_ = 0, start_ = 0;                               // next byte; first byte of the running opcode
  Values stack_;
  std::unordered_map<uint32_t, Value> memo_;
  std::deque<Values> sequences_;
  std::deque<std::vector<Pair>> dictionaries_;
  std::deque<PickledTensor> tensors_;
};

void Machine::step(uint8_t opcode) {
  switch (opcode) {
    case 0x80: {
      const int protocol = number<uint8_t>();
      return check(protocol == 2, "protocol {}; torch.save writes 2", protocol);
    }
    case '(': return push(Mark{});
    case 'N': return push(None{});
    case 0x88: return push(true);
    case 0x89: return push(false);
    case 'J': return push(int64_t(number<int32_t>()));
    case 'K': return push(int64_t(number<uint8_t>()));
    case 'M': return push(int64_t(number<uint16_t>()));
    case 0x8A: return push(long_integer());
    case 'G': return push(big_endian_double());
    case 'X': return push_text(number<uint32_t>());
    case 'c': return push_class();
    case ')': return push_sequence({});
    case ']': return push_sequence({});
    case '}': return push_dictionary();
    case 't': return push_sequence(since_mark());
    case 0x85: return push_last(1);
    case 0x86: return push_last(2);
    case 0x87: return push_last(3);
    case 'q': return remember(number<uint8_t>());
    case 'r': return remember(number<uint32_t>());
    case 'h': return recall(number<uint8_t>());
    case 'j': return recall(number<uint32_t>());
    case 'Q': return push(storage_of(pop()));
    case 'a': return append({pop()});
    case 'e': return append(since_mark());
    case 's': {
      const Value value = pop(), key = pop();
      return set_items({key, value});
    }
    case 'u': return set_items(since_mark());
    case 'R': return call();
    case 'b': return build();
    default: check(false, "opcode {} has no place in a state dictionary; it is refused because a pickle with it could run code. Save model.state_dict() instead", name_of_opcode(opcode));
  }
}

void Machine::push_text(size_t length) {
  const std::string_view text = take(length);
  check(is_utf8(text), "a text that is not UTF-8");
  push(text);
}

void Machine::push_class() {
  const std::string_view module = line(), name = line();
  const std::string full = fmt::format("{}.{}", module, name);
  for (const std::string_view known : {ordered_dict, rebuild_tensor, rebuild_parameter})
    if (full == known) return push(Class{known});
  for (const StorageClass& s : storage_classes)
    if (full == s.name) return push(Class{s.name});
  check(false, "GLOBAL {} is refused: only tensors and dictionaries of them are read, nothing is called. Save model.state_dict() instead", shown(full));
}

void Machine::set_items(const Values& items) {
  auto& pairs = *as<Dictionary>(top(), "a dictionary to set items of").items;
  check(items.size() % 2 == 0, "a key without a value");
  for (size_t i = 0; i < items.size(); i += 2) pairs.push_back({items[i], items[i + 1]});
}

void Machine::append(const Values& items) {
  auto& list = *as<Sequence>(top(), "a list to append to").items;
  list.insert(list.end(), items.begin(), items.end());
}

// The state of an OrderedDict holds its attributes (_metadata: versions of modules), which no weight depends on.
void Machine::build() {
  as<Dictionary>(pop(), "a dictionary of attributes");
  as<Dictionary>(top(), "an OrderedDict that gets attributes");
}

void Machine::call() {
  const Values arguments = *as<Sequence>(pop(), "a tuple of arguments").items;
  const std::string_view callee = as<Class>(pop(), "a class to call").name;
  if (callee == ordered_dict) {
    check(arguments.empty(), "an OrderedDict with arguments");
    push_dictionary();
  } else if (callee == rebuild_tensor) {
    push(tensor_of_arguments(arguments));
  } else if (callee == rebuild_parameter) {
    check(arguments.size() == 3, "_rebuild_parameter with {} arguments instead of 3", arguments.size());
    push(as<PickledTensor*>(arguments[0], "a tensor for _rebuild_parameter"));
  } else {
    check(false, "{} is called", callee);
  }
}

// ("storage", class, key, device, number of elements)
Value Machine::storage_of(const Value& id) const {
  const Values& parts = *as<Sequence>(id, "a tuple that names a storage").items;
  check(parts.size() == 5, "the name of a storage has {} parts instead of 5", parts.size());
  check(as<std::string_view>(parts[0], "\"storage\"") == "storage", "a reference to something that is no storage");
  const std::string_view type = as<Class>(parts[1], "a storage class").name;
  const int64_t count = as<int64_t>(parts[4], "the size of a storage");
  check(count >= 0, "a storage of {} elements", count);
  for (const StorageClass& s : storage_classes)
    if (type == s.name) return StorageReference{s.dtype, as<std::string_view>(parts[2], "the key of a storage"), count};
  check(false, "{} is no storage", type);
  return None{};
}

Shape Machine::integers(const Value& v, const char* what) const {
  const Values& items = *as<Sequence>(v, what).items;
  check(items.size() <= Shape::max_rank, "a tensor has {} axes, at most {} are possible", items.size(), int(Shape::max_rank));
  Shape s;
  for (const Value& item : items) {
    const int64_t n = as<int64_t>(item, what);
    check(n >= 0 && n < int64_t(1) << 62, "{} with the value {}", what, n);
    s.dim[s.rank++] = n;
  }
  return s;
}

// (storage, offset, sizes, strides, requires_grad, hooks[, metadata])
Value Machine::tensor_of_arguments(const Values& a) {
  check(a.size() == 6 || a.size() == 7, "_rebuild_tensor_v2 with {} arguments instead of 6 or 7", a.size());
  const auto storage = as<StorageReference>(a[0], "the storage of a tensor");
  PickledTensor t{.storage = std::string(storage.key), .dtype = std::string(storage.dtype), .storage_count = storage.count};
  t.offset = as<int64_t>(a[1], "the offset of a tensor");
  t.shape = integers(a[2], "sizes of a tensor");
  t.strides = integers(a[3], "strides of a tensor");
  check(t.shape.rank == t.strides.rank, "a tensor with {} sizes and {} strides", t.shape.rank, t.strides.rank);
  refuse_outside(t);
  return &tensors_.emplace_back(std::move(t));
}

void Machine::refuse_outside(const PickledTensor& t) const {
  int64_t count = 1, last = t.offset;
  bool fits = t.offset >= 0;
  for (int i = 0; i < t.shape.rank; ++i) {
    if (t.shape.dim[i] == 0) return;
    int64_t reach = 0;
    fits = fits && !__builtin_mul_overflow(count, t.shape.dim[i], &count) && !__builtin_mul_overflow(t.shape.dim[i] - 1, t.strides.dim[i], &reach) && !__builtin_add_overflow(last, reach, &last);
  }
  check(fits && last < t.storage_count, "a tensor {} with offset {} and strides {} reaches past its storage of {} elements", t.shape, t.offset, t.strides, t.storage_count);
  check(count <= t.storage_count, "a tensor {} repeats elements of its storage of {}", t.shape, t.storage_count);
}

}  // namespace

std::vector<PickledTensor> read_state_dictionary(std::string_view pickle, const std::string& place) {
  Machine machine(pickle, place);
  const Value whole = machine.run();
  const auto* dictionary = std::get_if<Dictionary>(&whole);
  require_data(dictionary != nullptr, "{}: the pickle holds no dictionary of tensors; save model.state_dict()", place);
  std::vector<PickledTensor> tensors;
  std::set<std::string_view> seen;
  for (const Pair& p : *dictionary->items) {
    const auto* name = std::get_if<std::string_view>(&p.key);
    require_data(name != nullptr, "{}: a key of the state dictionary is no text", place);
    const auto* tensor = std::get_if<PickledTensor*>(&p.value);
    require_data(tensor != nullptr, "{}: '{}' is no tensor; only a plain state dictionary can be read: take the weights out and save them alone", place, shown(*name));
    require_data(seen.insert(*name).second, "{}: the name '{}' occurs twice", place, shown(*name));
    tensors.push_back(**tensor);
    tensors.back().name = *name;
  }
  return tensors;
}

}  // namespace alinea
