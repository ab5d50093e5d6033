// CUDA's header of this name, as far as the engine uses it; products by the CPU's gemm.
#pragma once
#include "engine/emulation/cuda_runtime.h"

struct cublasContext;
using cublasHandle_t = cublasContext*;
enum cublasStatus_t { CUBLAS_STATUS_SUCCESS, CUBLAS_STATUS_NOT_SUPPORTED };
enum cublasOperation_t { CUBLAS_OP_N, CUBLAS_OP_T };
enum cublasMath_t { CUBLAS_DEFAULT_MATH };
enum cudaDataType_t { CUDA_R_32F, CUDA_R_64F };
enum cublasComputeType_t { CUBLAS_COMPUTE_32F, CUBLAS_COMPUTE_32F_FAST_TF32, CUBLAS_COMPUTE_32F_FAST_16BF, CUBLAS_COMPUTE_64F };
enum cublasGemmAlgo_t { CUBLAS_GEMM_DEFAULT };

inline cublasStatus_t cublasCreate(cublasHandle_t* handle) { return *handle = nullptr, CUBLAS_STATUS_SUCCESS; }
inline cublasStatus_t cublasSetStream(cublasHandle_t, cudaStream_t) { return CUBLAS_STATUS_SUCCESS; }
inline cublasStatus_t cublasSetMathMode(cublasHandle_t, cublasMath_t) { return CUBLAS_STATUS_SUCCESS; }
inline const char* cublasGetStatusName(cublasStatus_t s) { return s == CUBLAS_STATUS_SUCCESS ? "CUBLAS_STATUS_SUCCESS" : "CUBLAS_STATUS_NOT_SUPPORTED"; }
inline const char* cublasGetStatusString(cublasStatus_t s) { return s == CUBLAS_STATUS_SUCCESS ? "success" : "types that the emulation does not multiply"; }

/// All three matrices of one type. The fast compute types round the factors to the nearest tf32 or bf16 (ties to even) and multiply those in f32.
cublasStatus_t cublasGemmStridedBatchedEx(cublasHandle_t, cublasOperation_t a_as, cublasOperation_t b_as, int m, int n, int k, const void* alpha, const void* a,
                                          cudaDataType_t a_type, int lda, long long step_a, const void* b, cudaDataType_t b_type, int ldb, long long step_b,
                                          const void* beta, void* c, cudaDataType_t c_type, int ldc, long long step_c, int batch, cublasComputeType_t, cublasGemmAlgo_t);
