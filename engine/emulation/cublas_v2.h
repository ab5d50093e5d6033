// CUDA's header of this name, as far as the engine uses it; products by the CPU's gemm.
#pragma once
#include "engine/emulation/cuda_runtime.h"

struct cublasContext;
using cublasHandle_t = cublasContext*;
enum cublasStatus_t { CUBLAS_STATUS_SUCCESS };
enum cublasOperation_t { CUBLAS_OP_N, CUBLAS_OP_T };
enum cublasMath_t { CUBLAS_DEFAULT_MATH };

inline cublasStatus_t cublasCreate(cublasHandle_t* handle) { return *handle = nullptr, CUBLAS_STATUS_SUCCESS; }
inline cublasStatus_t cublasSetStream(cublasHandle_t, cudaStream_t) { return CUBLAS_STATUS_SUCCESS; }
inline cublasStatus_t cublasSetMathMode(cublasHandle_t, cublasMath_t) { return CUBLAS_STATUS_SUCCESS; }
inline const char* cublasGetStatusName(cublasStatus_t) { return "CUBLAS_STATUS_SUCCESS"; }
inline const char* cublasGetStatusString(cublasStatus_t) { return "success"; }

cublasStatus_t cublasSgemmStridedBatched(cublasHandle_t, cublasOperation_t a_as, cublasOperation_t b_as, int m, int n, int k, const float* alpha, const float* a, int lda,
                                         long long step_a, const float* b, int ldb, long long step_b, const float* beta, float* c, int ldc, long long step_c, int batch);
cublasStatus_t cublasDgemmStridedBatched(cublasHandle_t, cublasOperation_t a_as, cublasOperation_t b_as, int m, int n, int k, const double* alpha, const double* a, int lda,
                                         long long step_a, const double* b, int ldb, long long step_b, const double* beta, double* c, int ldc, long long step_c, int batch);
