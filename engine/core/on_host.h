// For results that are looked at and not computed with (plots), which are not worth a kernel.
#pragma once
#include "engine/core/tensor.h"

namespace alinea {

/// f(the tensors in host memory...) as a tensor where the first of them lies. Waits for the GPU.
template <class F, class... T>
Tensor on_host(F&& f, const Tensor& first, const T&... others) {
  auto host = [](const Tensor& t) { return t ? t.to(Context::cpu()) : t; };
  return f(host(first), host(others)...).to(first.context());
}

}  // namespace alinea
