// alinea analyze: how much of attention is structure. Trained heads, or matrices in a file, as band + columns + blocks + sparse residual
// (Conti 2024, arXiv 2409.00068), with what equally many numbers would reach without structure, and the role of each head.
#include <charconv>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "apps/commands.h"
#include "apps/head_report.h"
#include "apps/run_directory.h"
#include "engine/core/files.h"

namespace alinea {

namespace {

constexpr int64_t automatic = -1;

struct AnalyzeOptions {
  CommonOptions common;
  RunScores run;
  std::string tensor, residual, out;
  int64_t band = automatic, columns = automatic, blocks = 0;
  double mass = 0.9;
  bool stretched = false;
};

// "K,EPS", or "K" alone.
void read_residual(const std::string& text, AnalysisOptions& options) {
  const size_t comma = text.find(',');
  const std::string eps = comma == std::string::npos ? "1" : text.substr(comma + 1);
  const auto number = [&](const std::string& digits, auto& value) {
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    return error == std::errc() && end == digits.data() + digits.size();
  };
  const bool read = number(text.substr(0, comma), options.residual) && number(eps, options.eps);
  require(read && options.residual >= 0 && options.eps > 0 && options.eps < INFINITY, "analyze: --residual '{}' is not K,EPS with K ≥ 0 entries of at most EPS > 0, e.g. --residual 16,0.1", text);
}

// The numbers asked for, against the matrices there are.
AnalysisPlan plan_of(const AnalyzeOptions& o, const ScoreSet& set) {
  int64_t widest = 0, rows = 0, columns = 0;
  bool square = true;
  for (const HeadScores& head : set.heads)
    for (const Scores& s : head.scores) {
      for (const int64_t c : s.centre) widest = std::max({widest, c, s.columns - 1 - c});
      rows = std::max(rows, s.rows), columns = std::max(columns, s.columns), square = square && s.square();
    }
  require(o.band == automatic || (o.band >= 0 && o.band <= widest), "analyze: --band {} is not in 0 … {}: the largest matrix is {} × {}, wider bands hold all of it", o.band, widest, rows, columns);
  require(o.columns == automatic || (o.columns >= 0 && o.columns <= columns), "analyze: --columns {} is not in 0 … {}, the columns that the largest matrix has", o.columns, columns);
  require(o.blocks == 0 || square, "analyze: --blocks are of square matrices; these are {} × {} and alike. Leave it out", rows, columns);
  require(o.blocks >= 0 && o.blocks <= rows, "analyze: --blocks {} is not in 1 … {}, the positions of the largest matrix", o.blocks, rows);
  AnalysisPlan plan{.mass = o.mass};
  plan.options.band = o.band;
  if (o.columns != automatic) plan.options.columns = o.columns;
  plan.options.largest_block = o.blocks;
  if (!o.residual.empty()) read_residual(o.residual, plan.options);
  return plan;
}

ScoreSet scores_of(const AnalyzeOptions& o) {
  const Diagonal diagonal = o.stretched ? Diagonal::stretched : Diagonal::index;
  require_data(std::filesystem::exists(o.run.run), "{}: there is no such run or file", o.run.run);
  if (!std::filesystem::is_directory(o.run.run)) return file_scores({.file = o.run.run, .tensor = o.tensor, .head = o.run.head, .diagonal = diagonal});
  RunScores which = o.run;
  which.diagonal = diagonal;
  return run_scores(context_of(o.common), which);
}

int analyze(const AnalyzeOptions& o) {
  require(o.run.limit >= 0 && o.run.layer >= 0 && o.run.head >= 0, "analyze: --limit, --layer and --head must not be negative");
  const ScoreSet set = scores_of(o);
  const AnalysisPlan plan = plan_of(o, set);
  std::vector<HeadReport> reports;
  for (const HeadScores& head : set.heads) reports.push_back(report_of(head, plan));
  if (!o.out.empty()) {
    write_atomically(o.out, render_report(page_of(reports, set, plan)));
    note(o.common, "analyze: wrote {}", o.out);
  }
  if (o.common.json) return print_json(json_of(reports, set, plan)), 0;
  fmt::print("{}: {}\n\n{}", set.source, set.block, tables_of(reports, set, plan));
  return 0;
}

// Options that only make sense for one kind of subject.
void refuse_wrong_kind(const Command& app, const AnalyzeOptions& o) {
  if (std::filesystem::is_directory(o.run.run)) refuse_given(app, {"--tensor"}, "is for files of scores");
  else refuse_given(app, {"--data", "--split", "--limit", "--source", "--block", "--layer", "--last", "--device", "--threads"}, "is for runs");
  if (!o.run.source.empty()) refuse_given(app, {"--data", "--split", "--limit"}, "has no meaning beside --source");
}

void add_subject(const Command& app, AnalyzeOptions& o) {
  app.add_option("subject", o.run.run, "a run, a model folder (with --data or --source), or tensors [T,S], [H,T,S] or [B,H,T,S]; integer tensors lengths, target_lengths, source_lengths [B] cut padding off")
      .required()
      .type_name("RUN|SCORES.safetensors");
  app.add_option("--block", o.run.block, "which attention of a run; the decoder's is teacher forced").show_default().one_of({"encoder_self", "decoder_self", "decoder_cross"});
  app.add_option("--layer", o.run.layer, "one layer, from 1; 0: all").show_default();
  app.add_option("--head", o.run.head, "one head, from 1; 0: all").show_default();
  app.add_option("--data", o.run.data, "prepared data (default: what the run was trained on)").type_name("DIR");
  app.add_option("--split", o.run.split, "train, dev or test").show_default();
  app.add_option("--limit", o.run.limit, "only the first sentences; 0: all").show_default();
  app.add_option("--source", o.run.source, "instead of data: one sentence, or one sound file; the target is what the model makes of it").type_name("TEXT|SOUND");
  app.add_flag("--last", o.run.last, "the newest checkpoint instead of the best");
  app.add_option("--tensor", o.tensor, "of a file: this tensor only").type_name("NAME");
}

void add_pattern(const Command& app, AnalyzeOptions& o) {
  app.add_option("--band", o.band, "half width W: cells with |j - i| <= W. Left out: per head the smallest W that keeps --mass of the scores, but none that takes more than half of the cells").type_name("W");
  app.add_option("--mass", o.mass, "what a W that is chosen has to keep, averaged over rows and sentences").show_default().range(0.0, 1.0);
  app.add_flag("--stretch", o.stretched, "the diagonal runs from corner to corner instead of through (i, i); for matrices that are not square");
  app.add_option("--columns", o.columns, "R heaviest columns beside the band (default 2)").type_name("R");
  app.add_option("--blocks", o.blocks, "put diagonal blocks of at most B positions into the pattern, where they are denser than uniform attention").type_name("B");
  app.add_option("--residual", o.residual, "K largest cells of what is left, clipped to EPS (default 16,1)").type_name("K,EPS");
  app.add_option("-o,--out", o.out, "write a self-contained HTML page with heat maps").type_name("FILE");
}

}  // namespace

void add_analyze(Command program, Run& run) {
  auto o = std::make_shared<AnalyzeOptions>();
  Command app = add_command(program, "analyze", "how much of attention is structure: band, columns, blocks, sparse residual, and the role of each head",
                            "alinea analyze runs/text -o heads.html\n"
                            "alinea analyze runs/text --block decoder_cross --layer 2 --split dev --limit 0 --json\n"
                            "alinea analyze runs/text --source \"a black dog runs\" --band 1 --columns 1 --residual 8,0.2\n"
                            "alinea analyze runs/emma --block decoder_cross --stretch\n"
                            "alinea analyze scores.safetensors --tensor layer0 --blocks 6\n"
                            "\n"
                            "Exit codes: 2 an option that does not fit (W or R too large, no such layer, head or tensor, a family whose\n"
                            "scores are no weights), 3 a missing run or file, scores that are negative, not finite, empty or all zero.");
  add_subject(app, *o);
  add_pattern(app, *o);
  add_common(app, o->common, Common::device | Common::json);
  app.callback([o, app, &run] {
    run = [o, app] {
      refuse_wrong_kind(app, *o);
      return analyze(*o);
    };
  });
}

}  // namespace alinea
