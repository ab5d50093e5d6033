// alinea gradcheck: gradients of every op against central differences in double, on the examples of its row in the table.
#include <algorithm>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>

#include "apps/commands.h"
#include "autograd/op_table.h"

namespace alinea {

namespace {

constexpr double tolerance = 1e-7;

struct GradcheckOptions {
  CommonOptions common;
  std::vector<std::string> ops;
};

bool fine(const GradCheck& c) { return c.worst <= tolerance; }   // false for NaN

// The worst of all examples per input, in the order of the row; NaN is worse than any number.
std::vector<GradCheck> worst_by_input(const OpRow& row, RandomKey key, Context& context) {
  std::vector<GradCheck> worst;
  for (const GradCheck& c : check_gradients(row, key, context)) {
    const auto same = std::find_if(worst.begin(), worst.end(), [&](const GradCheck& w) { return w.input == c.input; });
    if (same == worst.end()) worst.push_back(c);
    else if (std::isnan(c.worst) || c.worst > same->worst) *same = c;
  }
  return worst;
}

std::vector<const OpRow*> chosen(const std::vector<std::string>& names) {
  std::vector<const OpRow*> rows;
  for (const std::string& name : names) {
    rows.push_back(&OpTable::all().find(name));
    require(rows.back()->differentiable, "gradcheck: {} has no gradient", name);
  }
  if (names.empty())
    for (const OpRow& row : OpTable::all().rows())
      if (row.differentiable) rows.push_back(&row);
  return rows;
}

int gradcheck(const GradcheckOptions& o) {
  const CommonOptions& common = o.common;
  Context& context = context_of(common);
  TextTable table({{"op"}, {"input"}, {"worst error", true}, {"example", true}, {"element", true}, {""}});
  auto list = nlohmann::ordered_json::array();
  int failed = 0, checked = 0;
  for (const OpRow* row : chosen(o.ops)) {
    for (const GradCheck& c : worst_by_input(*row, RandomKey{common.seed.value_or(7)}, context)) {
      ++checked;
      failed += !fine(c);
      table.row({c.op, c.input, fmt::format("{:.1e}", c.worst), fmt::format("{}", c.example), fmt::format("{}", c.at), fine(c) ? "ok" : "WRONG"});
      list.push_back({{"op", c.op}, {"input", c.input}, {"worst", c.worst}, {"example", c.example}, {"element", c.at}, {"ok", fine(c)}});
    }
  }
  if (common.json) print_json({{"tolerance", tolerance}, {"checked", checked}, {"failed", failed}, {"inputs", list}});
  else fmt::print("{}", table.text());
  note(common, "{} gradients checked against central differences, {} off by more than {:.0e} of the largest", checked, failed, tolerance);
  return failed == 0 ? 0 : int(Exit::failed);
}

}  // namespace

void add_gradcheck(Command program, Run& run) {
  auto o = std::make_shared<GradcheckOptions>();
  Command app = add_command(program, "gradcheck", "gradients of every op against central differences: worst error and where",
                              "alinea gradcheck\nalinea gradcheck linear matmul --json\nalinea gradcheck softmax --device cuda");
  app.add_option("ops", o->ops, "names of alinea op --list; all if none is given").type_name("OP");
  add_common(app, o->common, Common::device | Common::seed | Common::json);
  app.callback([o, &run] { run = [o] { return gradcheck(*o); }; });
}

}  // namespace alinea
