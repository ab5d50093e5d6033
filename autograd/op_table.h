// One table of ops by name. It feeds the gradient check, the CPU-equals-CUDA test, `alinea op` and the docs.
// Rows are written beside the wrappers of their family (autograd/rows/*.cpp) and listed in op_table.cpp.
#pragma once
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "autograd/tape.h"
#include "engine/core/random.h"

namespace alinea {

struct OpInput {
  std::string name, shape;                                  // "x", "[..., C]"
  bool optional = false, integer = false;                   // integer inputs (ids, lengths) are i64 in files and have no gradient
  bool constant = false;                                    // a float input that has no gradient by definition
};
struct OpAttribute {
  std::string name, standard, help;                         // standard: default value as text; "" = must be given
};

/// The arguments of one call: what a row's `run` reads.
class OpCall {
 public:
  std::map<std::string, Variable> inputs;
  std::map<std::string, std::string> attributes;            // complete: defaults are filled in

  Variable in(const std::string& name) const;               // none when an optional input is absent
  Tensor tensor(const std::string& name) const { return in(name).value(); }
  std::vector<int32_t> lengths(const std::string& name) const;   // an integer input as host values; empty when absent
  std::vector<double> numbers(const std::string& name) const;    // a float input as host values; empty when absent
  std::string text(const std::string& name) const;
  double number(const std::string& name) const;
  int64_t integer(const std::string& name) const;
  bool flag(const std::string& name) const;                 // true/false/1/0
};

/// How the gradient check fills an input.
struct Fill {
  Shape shape;
  enum Kind { normal, positive, away_from_zero, given } kind = normal;   // positive: 0.5 … 2; away_from_zero: |x| in 0.3 … 1.5 (kinks)
  std::vector<double> values;                               // given: row-major
  static Fill ids(Shape shape, std::vector<double> values) { return {shape, given, std::move(values)}; }
};
struct OpExample {
  std::map<std::string, Fill> inputs;                       // optional inputs may be left out
  std::map<std::string, std::string> attributes;
};

struct OpRow {
  std::string name, formula;
  std::vector<OpInput> inputs;
  std::vector<OpAttribute> attributes;
  std::vector<std::string> outputs;
  std::function<std::vector<Variable>(const OpCall&)> run;
  std::vector<OpExample> examples;                          // several shapes: ones, odd sizes, every attribute that changes the formula
  bool differentiable = true;
};

class OpTable {
 public:
  static const OpTable& all();
  void add(OpRow row) { rows_.push_back(std::move(row)); }
  const std::vector<OpRow>& rows() const { return rows_; }
  const OpRow& find(const std::string& name) const;         // Error{usage} names the nearest
 private:
  std::vector<OpRow> rows_;
};

/// Checks names, required inputs and dtypes, fills defaults; errors show the table's row.
OpCall make_call(const OpRow& row, std::map<std::string, Variable> inputs, std::map<std::string, std::string> attributes);
/// "softmax: x [..., C] -> y" with attributes, one line.
std::string describe(const OpRow& row);

/// Worst error of one input's gradient: |numeric - analytic| / max(1, largest |analytic|), central differences in double.
struct GradCheck {
  std::string op, input;
  int example = 0;
  double worst = 0;
  int64_t at = 0;                                           // element where it is worst
};
/// Loss = Σ w · output with random w over all outputs, so that no structure of the output (rows that sum to 1) hides a wrong gradient.
/// The op runs on the context's device, everything else on the CPU.
std::vector<GradCheck> check_gradients(const OpRow& row, RandomKey key, Context& context = Context::cpu());

}  // namespace alinea
