// The readers of files that come from elsewhere, each as one function of any bytes: it reads all that there is to read. A refusal (Error) is
// as good as success; anything else (another exception, a crash, a sanitizer's complaint) is a fault. The fuzzers and the test suite call
// the same functions.
#pragma once
#include <string_view>

namespace alinea {

void fuzz_config(std::string_view bytes);
void fuzz_pickle(std::string_view bytes);
void fuzz_safetensors(std::string_view bytes);
void fuzz_sentencepiece(std::string_view bytes);
void fuzz_torch_zip(std::string_view bytes);

}  // namespace alinea
