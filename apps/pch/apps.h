// Compiled once for all files of this folder: headers from outside that nearly every one needs. Each file includes what it needs all the same (-Db_pch=false builds without this).
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>
