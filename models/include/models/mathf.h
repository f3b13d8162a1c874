/* mathf.h - elementary functions whose bits we own: fixed sequences of IEEE operations, so that every machine and
 * every vector width gives the same result. Accuracy is stated per function and tested against long double. */
#ifndef MODELS_MATHF_H
#define MODELS_MATHF_H

/* e^x, <= 1 ulp for results that are normal; 0 below -103.97, +inf above 88.72; NaN stays NaN. exp(0) == 1. */
float math_expf(float x);
float math_tanhf(float x); /* <= 2 ulp */
float math_erff(float x);  /* <= 4 ulp, or 1e-7 absolute */

/* Double precision, <= 2 ulp over the ranges the engine uses (|x| < 1e9 for sin and cos): rope tables. */
double math_exp(double x);
double math_log(double x);
double math_sin(double x);
double math_cos(double x);

float math_siluf(float x);      /* x / (1 + exp(-x)) */
float math_gelu_tanhf(float x); /* 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))): gpt2 */
float math_gelu_erff(float x);  /* 0.5 x (1 + erf(x / sqrt 2)): gptneox, bert */

/* Vectors of the same, bit-identical to the scalar functions; y may be x. */
void math_exp_vec(float *y, const float *x, int n);
void math_silu_vec(float *y, const float *x, int n);
void math_gelu_tanh_vec(float *y, const float *x, int n);
void math_gelu_erf_vec(float *y, const float *x, int n);

/* IEEE binary16 and bfloat16; conversions to 16 bits round to nearest even. */
float f16_to_f32(unsigned short h);
unsigned short f32_to_f16(float x);
float bf16_to_f32(unsigned short h);
unsigned short f32_to_bf16(float x);

#endif
