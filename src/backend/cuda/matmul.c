// Matrix products by cuBLASLt. It thinks in columns: a row-major C = A B is the column-major C' = B' A', so the operands
// change places and nothing is transposed that was not before. Sums are f32 whatever the operands are: bf16, f32, or f32 of
// which the tensor cores read 10 bits (TF32).
#include <stdlib.h>

#include "backend/cuda/cuda_context.h"
#include "base/mem.h"
#include "base/num.h"

// The key of a plan. Operands may begin anywhere in flat storage: how well they are aligned decides on the algorithm.
typedef struct {
  int64_t batch, m, n, k;
  int64_t transpose_a, transpose_b;
  int64_t type, result, tf32;
  int64_t align_a, align_b, align_c;  // bytes, up to what cuBLASLt asks about
} product;
enum { MOST_ALIGNMENT = 256 };

typedef struct {
  cublasLtMatmulDesc_t desc;
  cublasLtMatrixLayout_t a, b, c;  // as cuBLASLt sees them: a is our B
  cublasLtMatmulAlgo_t algo;
  size_t workspace;
} matmul_plan;

void am_cuda_matmul_plan_free(void *plan) {
  matmul_plan *p = plan;
  if (!p) return;
  if (p->desc) (void)cublasLtMatmulDescDestroy(p->desc);
  if (p->a) (void)cublasLtMatrixLayoutDestroy(p->a);
  if (p->b) (void)cublasLtMatrixLayoutDestroy(p->b);
  if (p->c) (void)cublasLtMatrixLayoutDestroy(p->c);
  free(p);
}

// A row-major matrix of rows x columns, `batch` of them one after the other.
static am_err layout_of(const product *s, int64_t of, int64_t rows, int64_t columns, cublasLtMatrixLayout_t *out) {
  const cudaDataType_t type = of == AM_BF16 ? CUDA_R_16BF : CUDA_R_32F;
  const int32_t count = (int32_t)s->batch;
  const int64_t apart = rows * columns;
  AM_TRY_LT(cublasLtMatrixLayoutCreate(out, type, (uint64_t)columns, (uint64_t)rows, columns));
  AM_TRY_LT(cublasLtMatrixLayoutSetAttribute(*out, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &count, sizeof count));
  AM_TRY_LT(cublasLtMatrixLayoutSetAttribute(*out, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &apart, sizeof apart));
  return AM_OK;
}

static am_err set_transpose(cublasLtMatmulDesc_t desc, cublasLtMatmulDescAttributes_t which, bool on) {
  const cublasOperation_t op = on ? CUBLAS_OP_T : CUBLAS_OP_N;
  AM_TRY_LT(cublasLtMatmulDescSetAttribute(desc, which, &op, sizeof op));
  return AM_OK;
}

static cublasStatus_t prefer(cublasLtMatmulPreference_t preference, cublasLtMatmulPreferenceAttributes_t which, uint32_t value) {
  return cublasLtMatmulPreferenceSetAttribute(preference, which, &value, sizeof value);
}

// What an algorithm may count on. Partial sums are kept in f32 and added in a fixed order, never in the output's type.
static cublasStatus_t set_preference(const product *s, cublasLtMatmulPreference_t preference) {
  const struct {
    cublasLtMatmulPreferenceAttributes_t which;
    int64_t value;
  } list[] = {
    {CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, CUBLASLT_REDUCTION_SCHEME_NONE | CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE},
    {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, s->align_b},
    {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, s->align_a},
    {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, s->align_c},
    {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, s->align_c},
  };
  const size_t most = AM_CUDA_WORKSPACE_BYTES;
  cublasStatus_t status = cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &most,
                                                               sizeof most);
  for (int i = 0; i < AM_COUNT_OF(list) && status == CUBLAS_STATUS_SUCCESS; i++)
    status = prefer(preference, list[i].which, (uint32_t)list[i].value);
  return status;
}

static am_err choose_algo(const am_cuda *g, const product *s, matmul_plan *p) {
  cublasLtMatmulPreference_t preference = NULL;
  cublasLtMatmulHeuristicResult_t found;
  int count = 0;
  AM_TRY_LT(cublasLtMatmulPreferenceCreate(&preference));
  cublasStatus_t status = set_preference(s, preference);
  if (status == CUBLAS_STATUS_SUCCESS)
    status = cublasLtMatmulAlgoGetHeuristic(g->lt, p->desc, p->a, p->b, p->c, p->c, preference, 1, &found, &count);
  (void)cublasLtMatmulPreferenceDestroy(preference);
  AM_CHECK(status == CUBLAS_STATUS_SUCCESS && count == 1, AM_ERR_DEVICE, "cuBLASLt knows no way for this product (%s)",
           cublasLtGetStatusString(status));
  p->algo = found.algo;
  p->workspace = found.workspaceSize;
  return AM_OK;
}

static am_err prepare(const am_cuda *g, const product *s, matmul_plan *p) {
  AM_TRY_LT(cublasLtMatmulDescCreate(&p->desc, s->tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F, CUDA_R_32F));
  AM_TRY(set_transpose(p->desc, CUBLASLT_MATMUL_DESC_TRANSA, s->transpose_b));
  AM_TRY(set_transpose(p->desc, CUBLASLT_MATMUL_DESC_TRANSB, s->transpose_a));
  AM_TRY(layout_of(s, s->type, s->transpose_b ? s->n : s->k, s->transpose_b ? s->k : s->n, &p->a));
  AM_TRY(layout_of(s, s->type, s->transpose_a ? s->k : s->m, s->transpose_a ? s->m : s->k, &p->b));
  AM_TRY(layout_of(s, s->result, s->m, s->n, &p->c));
  return choose_algo(g, s, p);
}

static am_err plan_of(am_cuda *g, const product *s, matmul_plan **out) {
  *out = am_plan_cache_find(&g->products, s, sizeof *s);
  if (*out) return AM_OK;
  matmul_plan *p = NULL;
  AM_TRY(AM_NEW(&p));
  const am_err err = prepare(g, s, p);
  if (err) {
    am_cuda_matmul_plan_free(p);
    return err;
  }
  *out = p;
  return am_plan_cache_add(&g->products, s, sizeof *s, p);
}

static int64_t alignment_of(const void *data) {
  const uintptr_t place = (uintptr_t)data | MOST_ALIGNMENT;
  return (int64_t)(place & (~place + 1));  // its lowest bit
}

am_err am_cuda_multiply(am_cuda *g, const am_cuda_product *of, const void *a, const void *b, void *c) {
  const product s = {.batch = of->batch, .m = of->m, .n = of->n, .k = of->k, .transpose_a = of->transpose_a,
                     .transpose_b = of->transpose_b, .type = of->type, .result = of->result,
                     .tf32 = of->type == AM_F32 && g->tf32, .align_a = alignment_of(a), .align_b = alignment_of(b),
                     .align_c = alignment_of(c)};
  const float one = 1, zero = 0;
  matmul_plan *p = NULL;
  AM_TRY(plan_of(g, &s, &p));
  AM_TRY_LT(cublasLtMatmul(g->lt, p->desc, &one, b, p->a, a, p->b, &zero, c, p->c, c, p->c, &p->algo, g->workspace,
                           p->workspace, g->stream));
  return AM_OK;
}

am_err am_cuda_matmul(void *ctx, const am_matmul_desc *desc, const am_view *in, am_view *out) {
  const am_shape a = in[0].shape, c = out[0].shape;
  const int first = c.ndim - 2;  // the matrix axes are the last two
  const am_cuda_product p = {.batch = first ? c.dim[0] : 1, .m = c.dim[first], .n = c.dim[first + 1],
                             .k = a.dim[desc->transpose_a ? first : first + 1], .transpose_a = desc->transpose_a,
                             .transpose_b = desc->transpose_b, .type = in[0].dtype, .result = out[0].dtype};
  return am_cuda_multiply(ctx, &p, in[0].data, in[1].data, out[0].data);
}
