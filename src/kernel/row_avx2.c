#if defined(__x86_64__)

#include "kernel/vec_avx2.h"

#include "kernel/row_body.h"
#include "kernel/row_bwd_body.h"

const struct cr_row_kernels cr_row_avx2 = {
    .rmsnorm = rmsnorm,
    .layernorm = layernorm,
    .rope = rope,
    .gelu_tanh = gelu_tanh,
    .gelu_erf = gelu_erf,
    .swiglu = swiglu,
    .add = add,
    .split = split,
    .gelu_tanh_bwd = gelu_tanh_bwd,
    .gelu_erf_bwd = gelu_erf_bwd,
    .swiglu_bwd = swiglu_bwd,
    .norm_bwd = norm_bwd,
    .norm_dw = norm_dw,
    .accumulate = accumulate,
    .dot = dot,
    .log_sum_exp = log_sum_exp,
    .softmax_bwd = softmax_bwd,
    .attention_f32 = &cr_attention_avx2_f32,
    .attention_bf16 = &cr_attention_avx2_bf16,
    .attention_mixed = &cr_attention_avx2_mixed,
    /* 8-bit weights go with f32 here, so nothing but tests asks for this one. */
    .attention_int8 = &cr_attention_scalar_int8,
};

#else
typedef int not_this_machine;
#endif
