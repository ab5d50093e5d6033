// One self-contained web page about a run: curves, quality against latency, streamed utterances that can be heard and seen, attention heads.
// Plain values in, the text of the page out. The page needs no network: style, program, audio (WAV) and heat maps lie inside it.
#pragma once
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace alinea {

/// One line of a chart. x: the step; y: NaN or infinity leaves a gap. Long curves are thinned, keeping the extremes of every stretch.
struct Curve {
  std::string name;
  std::vector<double> x, y;
};

struct Chart {
  std::string title, x_label, y_label;
  std::vector<Curve> curves;
};

/// An utterance that was translated while it was heard. Times are milliseconds from the first sample.
struct StreamedUtterance {
  struct SourceWord {
    std::string text;
    double begin_ms, end_ms;
  };
  /// A target word, the time at which it was written, its write probability (NaN: none) and who had held it back before.
  struct Written {
    std::string text;
    double at_ms;
    double p;
    std::string held_by;
  };
  /// Weights [rows, columns], row-major, finite and not negative: row = target token, column j covers [j, j + 1) · ms_per_column.
  struct Alignment {
    std::string name;
    int64_t rows, columns;
    double ms_per_column;
    std::vector<float> weights;
  };

  std::string id, reference, hypothesis;
  double source_ms = 0;
  std::vector<float> audio;  ///< mono in [-1, 1]; louder samples are clipped
  int rate = 16000;          ///< samples per second
  int64_t frames = 0, bins = 0;
  std::vector<float> features;  ///< log-mel [frames, bins], lowest bin first
  double ms_per_frame = 10;
  std::vector<SourceWord> source_words;
  std::vector<Written> written;
  std::vector<Alignment> alignments;
};

/// One system at one setting. exact_match (percent) and bleu lie in 0…100, al_ms and laal_ms are milliseconds; NaN: not measured.
/// Points of one system are joined in the order of their latency; `offline` also draws its quality as a level line.
struct OperatingPoint {
  std::string system, label;
  double exact_match, bleu, al_ms, laal_ms;
};

/// One attention head on one sentence: its weights [rows, columns], finite and not negative, and the pattern that approximates them. Names of
/// rows and columns: one each, or none.
struct HeadPicture {
  using Pair = std::pair<int64_t, int64_t>;
  std::string name, role, sentence;
  int64_t rows = 0, columns = 0;
  std::vector<float> weights;
  std::vector<std::string> row_names, column_names;
  std::vector<Pair> band;                                   ///< per row: columns [first, end)
  std::vector<int64_t> pattern_columns;
  std::vector<Pair> blocks;                                 ///< positions [first, end)
  std::vector<Pair> residual;                               ///< (row, column)
  Chart errors;                                             ///< against the band's half width
  std::vector<std::pair<std::string, std::string>> facts;   ///< name and value
};

struct Report {
  std::string title;
  std::vector<Chart> charts;
  std::vector<StreamedUtterance> utterances;
  std::vector<OperatingPoint> points;
  std::vector<HeadPicture> heads;
  std::vector<std::pair<std::string, std::string>> summary;  ///< name and value, in this order; short leading values become tiles
  std::string config_json, environment_json;                 ///< JSON texts, or empty
};

/// The whole page. Sound takes 2 bytes a sample, spectrogram and alignment 1 byte a cell (and a third more for base64):
/// about 55 kB per second of 16 kHz speech. Errors (data): sizes that disagree, values out of range, text that is not UTF-8 or not JSON.
std::string render_report(const Report& report);

}  // namespace alinea
