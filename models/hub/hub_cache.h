// Models that were downloaded before: Hugging Face's cache is read, never written, and nothing is fetched.
#pragma once
#include <filesystem>
#include <string>

namespace alinea {

/// `name` itself if there is such a path; else the snapshot of "organisation/name" in the cache: $HF_HUB_CACHE, $HF_HOME/hub, or
/// ~/.cache/huggingface/hub, folder models--organisation--name/snapshots/REVISION, the revision that refs/main holds. Error (data) when
/// there is neither; it says where was looked.
std::filesystem::path resolve_model(const std::string& name);

}  // namespace alinea
