// alinea convert: weights from one format, dtype or division into files to another. The result is safetensors.
#include <memory>
#include <nlohmann/json.hpp>

#include "apps/commands.h"
#include "apps/model_files.h"

namespace alinea {

namespace {

namespace fs = std::filesystem;

struct ConvertOptions {
  CommonOptions common;
  fs::path in, out;
  std::string dtype, shard_size = "5GB";
};

// Tied tensors are stored once, and the metadata says so, as the transformers library does it: {name: the tensor it equals}.
std::vector<OutgoingTensor> tensors_of(const Checkpoint& in, const std::string& dtype, Metadata& metadata) {
  std::vector<OutgoingTensor> tensors;
  for (const TensorEntry& e : in.entries()) {
    if (!e.same_as.empty()) {
      metadata[e.name] = e.same_as;
      continue;
    }
    const std::string wanted = dtype.empty() || !is_floating(e.dtype) ? e.dtype : file_dtype_of(dtype);
    tensors.push_back({e.name, wanted, e.shape, [&in, name = e.name] { return in.load(name, Context::cpu(), Checkpoint::Bf16::keep); }});
  }
  return tensors;
}

int convert(const ConvertOptions& o) {
  refuse_existing(o.out, "convert");
  require(!is_weights_path(o.out) || o.shard_size == "5GB", "convert: --shard-size means nothing for one file, {}; give a folder", o.out.string());
  SaveOptions options{.shard_bytes = bytes_of_size(o.shard_size)};
  const Checkpoint in = Checkpoint::open(o.in);
  in.verify();
  options.metadata.insert(in.metadata().begin(), in.metadata().end());
  const auto tensors = tensors_of(in, o.dtype, options.metadata);
  write_model(o.out, tensors, options, o.in);
  int64_t bytes = 0;
  for (const OutgoingTensor& t : tensors) bytes += t.bytes();
  note(o.common, "{}: {} tensors, {}", o.out.string(), tensors.size(), show_bytes(double(bytes)));
  if (const size_t tied = in.entries().size() - tensors.size(); tied > 0) note(o.common, "{} tied tensors are stored once; the metadata names them", tied);
  if (o.common.json) print_json({{"out", o.out.string()}, {"tensors", tensors.size()}, {"bytes", bytes}});
  return 0;
}

}  // namespace

void add_convert(Command program, Run& run) {
  auto o = std::make_shared<ConvertOptions>();
  Command app = add_command(program, "convert", "weights to safetensors: from PyTorch's .bin, into another dtype, one file or shards",
                            "alinea convert pytorch_model.bin model.safetensors\nalinea convert wav2vec2-base wav2vec2-bf16 --dtype bf16\n"
                            "alinea convert mbart-large mbart-shards --shard-size 500MB");
  app.add_option("in", o->in, ".safetensors, .bin or .pt, an index of shards, or a model folder").required().type_name("IN");
  app.add_option("out", o->out, "NAME.safetensors, or a new folder: it gets configuration and vocabularies, too").required().type_name("OUT");
  app.add_option("--dtype", o->dtype, "of floating tensors; without it they stay as they are").one_of({"fp32", "fp16", "bf16"});
  app.add_option("--shard-size", o->shard_size, "a folder's weights are cut into files of at most this size").show_default().type_name("SIZE");
  add_common(app, o->common, Common::json);
  app.callback([o, &run] { run = [o] { return convert(*o); }; });
}

}  // namespace alinea
