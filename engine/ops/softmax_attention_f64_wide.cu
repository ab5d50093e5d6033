// Softmax attention of heads of 65 to 256 numbers in f64.
#include "engine/ops/softmax_attention_kernels.cuh"

template struct alinea::cuda::SoftmaxTiles<double, 8>;
