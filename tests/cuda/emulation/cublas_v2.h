/* See cuda_runtime.h. */
#ifndef EARSHOT_TESTS_CUDA_EMULATION_CUBLAS_V2_H
#define EARSHOT_TESTS_CUDA_EMULATION_CUBLAS_V2_H

#include <cuda_runtime.h>

enum cublasStatus_t {
    CUBLAS_STATUS_SUCCESS = 0,
    CUBLAS_STATUS_ALLOC_FAILED = 3,
    CUBLAS_STATUS_INVALID_VALUE = 7,
    CUBLAS_STATUS_EXECUTION_FAILED = 13,
};
enum cublasOperation_t { CUBLAS_OP_N, CUBLAS_OP_T };
enum cublasComputeType_t { CUBLAS_COMPUTE_32F };
enum cublasGemmAlgo_t { CUBLAS_GEMM_DEFAULT };
typedef struct emulation_blas *cublasHandle_t;

cublasStatus_t cublasCreate(cublasHandle_t *blas);
cublasStatus_t cublasDestroy(cublasHandle_t blas);
cublasStatus_t cublasSetStream(cublasHandle_t blas, cudaStream_t stream);
cublasStatus_t cublasSetWorkspace(cublasHandle_t blas, void *workspace, size_t bytes);
const char *cublasGetStatusString(cublasStatus_t status);
/* Of all the forms: C = A^T B, in columns, alpha 1 and beta 0. */
cublasStatus_t cublasGemmEx(cublasHandle_t blas, cublasOperation_t a_op, cublasOperation_t b_op,
                            int m, int n, int k, const void *alpha, const void *a,
                            cudaDataType a_type, int lda, const void *b, cudaDataType b_type,
                            int ldb, const void *beta, void *c, cudaDataType c_type, int ldc,
                            cublasComputeType_t compute, cublasGemmAlgo_t algo);

#endif
