/* The library's product, as a plain loop; see cuda_runtime.h. */
#include "kernels/half.h"

#include <cublas_v2.h>
#include <cuda_runtime.h>

cublasStatus_t cublasCreate(cublasHandle_t *blas)
{
    return cudaMalloc((void **)blas, 1) ? CUBLAS_STATUS_ALLOC_FAILED : CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasDestroy(cublasHandle_t blas)
{
    cudaFree(blas);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetStream(cublasHandle_t, cudaStream_t)
{
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetWorkspace(cublasHandle_t, void *, size_t)
{
    return CUBLAS_STATUS_SUCCESS;
}

const char *cublasGetStatusString(cublasStatus_t status)
{
    switch (status) {
    case CUBLAS_STATUS_SUCCESS:
        return "no error";
    case CUBLAS_STATUS_ALLOC_FAILED:
        return "no memory";
    case CUBLAS_STATUS_INVALID_VALUE:
        return "invalid value";
    case CUBLAS_STATUS_EXECUTION_FAILED:
        return "execution failed";
    }
    return "unknown";
}

static float value(const void *p, cudaDataType type, size_t i)
{
    if (type == CUDA_R_32F)
        return ((const float *)p)[i];
    if (type == CUDA_R_16F)
        return half_to_float(((const uint16_t *)p)[i]);
    return bfloat_to_float(((const uint16_t *)p)[i]);
}

cublasStatus_t cublasGemmEx(cublasHandle_t, cublasOperation_t a_op, cublasOperation_t b_op, int m,
                            int n, int k, const void *alpha, const void *a, cudaDataType a_type,
                            int lda, const void *b, cudaDataType b_type, int ldb, const void *beta,
                            void *c, cudaDataType c_type, int ldc, cublasComputeType_t,
                            cublasGemmAlgo_t)
{
    if (a_op != CUBLAS_OP_T || b_op != CUBLAS_OP_N || m < 1 || n < 1 || k < 1 || lda < k ||
        ldb < k || ldc < m || a_type != b_type || c_type != CUDA_R_32F ||
        *(const float *)alpha != 1.0f || *(const float *)beta != 0.0f)
        return CUBLAS_STATUS_INVALID_VALUE;
    cudaError_t error = emulation_submit([=] {
        for (size_t i = 0; i < (size_t)m * (size_t)n; i++) {
            size_t column = i / (size_t)m, row = i % (size_t)m;
            float sum = 0.0f;

            for (size_t j = 0; j < (size_t)k; j++)
                sum += value(a, a_type, row * (size_t)lda + j) *
                       value(b, b_type, column * (size_t)ldb + j);
            ((float *)c)[column * (size_t)ldc + row] = sum;
        }
    });

    return error ? CUBLAS_STATUS_EXECUTION_FAILED : CUBLAS_STATUS_SUCCESS;
}
