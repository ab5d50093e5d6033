// Softmax attention of heads of up to 64 numbers in f64.
#include "engine/ops/softmax_attention_kernels.cuh"

template struct alinea::cuda::SoftmaxTiles<double, 2>;
