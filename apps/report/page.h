// The hand-written parts of the page, put into the program when it is built.
#pragma once
#include <string_view>

namespace alinea {
extern const std::string_view report_html, report_css, report_kit_js, report_plots_js, report_stream_js, report_heads_js, report_js;
}  // namespace alinea
