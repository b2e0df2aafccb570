#if defined(__x86_64__)

#include "kernel/vec_avx512.h"

#include "kernel/row_body.h"
#include "kernel/row_bwd_body.h"

const struct cr_row_kernels cr_row_avx512 = {
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
    .attention_f32 = &cr_attention_avx512_f32,
    .attention_bf16 = &cr_attention_avx512_bf16,
    .attention_mixed = &cr_attention_avx512_mixed,
    .attention_int8 = &cr_attention_avx512_int8,
};

#else
typedef int not_this_machine;
#endif
