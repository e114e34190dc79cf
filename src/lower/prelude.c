/* SPDX-License-Identifier: Apache-2.0
 *
 * prelude.c - what every generated file begins with.
 *
 * Everything is written with the vector types that gcc and clang share; where a processor has one instruction for
 * what takes several, and both compilers know it by the same name, it is used under #ifdef.  A function named v… works
 * on vectors, s… on one number; both give the same bits.
 *
 * exp, ln and tanh are polynomials after the usual reductions (to |r| <= ln(2)/2, and to [sqrt(1/2), sqrt(2))),
 * minimax in the relative error: float within about 2 units in the last place, double within about 1 (tanh 2).
 * Infinities, NaN, zeros and subnormal numbers are as in C's functions. */
#include "lower/gen.h"

static void prelude_list(Buf *out, int n, int step, int first)
{
    for (int k = 0; k < n; k++)
        buf_printf(out, "%s%d", k ? ", " : "", first + step * k);
}

/* The numbers of a vector by block of lanes, or by lane. */
static void prelude_digits(Buf *out, const Target *t, bool block)
{
    for (int k = 0; k < t->W; k++)
        buf_printf(out, "%s%d", k ? ", " : "", block ? k / t->B : k % t->B);
}

static void prelude_types(Buf *out, const Target *t)
{
    const int size = t->f64 ? 8 : 4;

    buf_puts(out, "#include <stdint.h>\n\n");
    buf_printf(out, "#define W %d\n#define B %d\n", t->W, t->B);
    buf_printf(out, "typedef %s real;\n", t->f64 ? "double" : "float");
    buf_printf(out, "typedef %s vec __attribute__((vector_size(%d)));\n", t->f64 ? "double" : "float", t->W * size);
    buf_printf(out, "typedef int%d_t whole;\n", 8 * size);
    buf_printf(out, "typedef int%d_t ivec __attribute__((vector_size(%d)));\n", 8 * size, t->W * size);
    buf_printf(out, "typedef uint%d_t uvec __attribute__((vector_size(%d)));\n", 8 * size, t->W * size);
    buf_printf(out, "typedef %s vec_at __attribute__((vector_size(%d), aligned(%d), may_alias));\n",
               t->f64 ? "double" : "float", t->W * size, size);
    buf_printf(out, "#define M(name) __builtin_##name%s\n", t->f64 ? "" : "##f");
    buf_printf(out, "#define R(x) x%s\n", t->f64 ? "" : "##f");
    buf_puts(out, "#define INFINITE ((real)__builtin_inf())\n#define NOT_A_NUMBER ((real)__builtin_nan(\"\"))\n");
    buf_puts(out, "#define COUNT_UP ((ivec){ ");
    prelude_list(out, t->W, 1, 0);
    buf_puts(out, " })\n#define COUNT_UP_REAL ((vec){ ");
    prelude_list(out, t->W, 1, 0);
    buf_puts(out, " })\n/* Which block of lanes; which lane of its block. */\n#define COUNT_BLOCKS ((ivec){ ");
    prelude_digits(out, t, true);
    buf_puts(out, " })\n#define COUNT_BLOCKS_REAL ((vec){ ");
    prelude_digits(out, t, true);
    buf_puts(out, " })\n#define COUNT_LANES ((ivec){ ");
    prelude_digits(out, t, false);
    buf_puts(out, " })\n#define FN static inline __attribute__((always_inline, unused))\n");
    buf_puts(out, "#define FUNCTION static inline __attribute__((unused))\n");
    buf_puts(out, "#define EACH for (int i = 0; i < W; i++)\n");
    buf_puts(out, "#define HIDE(p) __asm__ volatile(\"\" : \"+r\"(p))\n\n");
    buf_puts(out, "FN vec splat(real x) { return (vec){ x");
    for (int k = 1; k < t->W; k++)
        buf_puts(out, ", x");
    buf_puts(out, " }; }\nFN ivec wsplat(whole x) { return (ivec){ x");
    for (int k = 1; k < t->W; k++)
        buf_puts(out, ", x");
    buf_puts(out, " }; }\n");
}

/* The sum of a vector, neighbours first. */
static void prelude_tree(Buf *out, int at, int n)
{
    if (n == 1) {
        buf_printf(out, "x[%d]", at);
        return;
    }
    buf_putc(out, '(');
    prelude_tree(out, at, n / 2);
    buf_puts(out, " + ");
    prelude_tree(out, at + n / 2, n / 2);
    buf_putc(out, ')');
}

/* Sums as many vectors as 16 bytes hold numbers, in the order of across_sum. */
static void prelude_few(Buf *out, const Target *t)
{
    const int group = t->f64 ? 2 : 4;

    buf_puts(out, "FN real across_sum(vec x) { return ");
    prelude_tree(out, 0, t->W);
    buf_puts(out, "; }\n");
    if (t->W < group)
        return;
    buf_printf(out, "typedef real few __attribute__((vector_size(16)));\n"
                    "typedef real few_at __attribute__((vector_size(16), aligned(%d), may_alias));\n", t->f64 ? 8 : 4);
    buf_puts(out, "/* Pairs of neighbours of x, then of y, in each 16 bytes. */\nFN vec pairs(vec x, vec y)\n{\n    return ");
    for (int odd = 0; odd < 2; odd++) {
        buf_puts(out, odd ? "\n         + __builtin_shufflevector(x, y" : "__builtin_shufflevector(x, y");
        for (int k = 0; k < t->W; k++) {
            const int half = group / 2, in = k % group;
            buf_printf(out, ", %d", k / group * group + (in < half ? 2 * in : t->W + 2 * (in - half)) + odd);
        }
        buf_puts(out, ")");
    }
    buf_puts(out, ";\n}\n");
    buf_puts(out, t->f64 ? "FN few across_few(vec x, vec y)\n{\n    const vec s = pairs(x, y);\n    return "
                         : "FN few across_few(vec x, vec y, vec z, vec u)\n{\n"
                           "    const vec s = pairs(pairs(x, y), pairs(z, u));\n    return ");
    const int parts = t->W / group;
    for (int k = 0; k < parts; k++) {
        buf_printf(out, "%s%s__builtin_shufflevector(s, s, ", k ? " + " : "", parts == 4 && k % 2 == 0 ? "(" : "");
        prelude_list(out, group, 1, k * group);
        buf_printf(out, ")%s", parts == 4 && k % 2 ? ")" : "");
    }
    buf_puts(out, ";\n}\nFN void st_few(real *p, few x, int add) { *(few_at *)p = add ? (few)*(const few_at *)p + x : x; }\n\n");
}

/* Vectors of blocks of lanes, where a vector holds several. */
static void prelude_blocks(Buf *out, const Target *t)
{
    const int size = t->f64 ? 8 : 4;

    buf_printf(out, "typedef real block __attribute__((vector_size(%d)));\n", t->B * size);
    buf_printf(out, "typedef real block_at __attribute__((vector_size(%d), aligned(%d), may_alias));\n", t->B * size, size);
    buf_puts(out, "/* A block of lanes, as often as it has room. */\nFN vec ld_block(const real *p)\n{\n"
                  "    const vec x = ld(p);\n    return __builtin_shufflevector(x, x, ");
    prelude_digits(out, t, false);
    buf_puts(out, ");\n}\n/* Numbers, each for the lanes of a block. */\nFN vec ld_each(const real *p)\n{\n"
                  "    const vec x = ld(p);\n    return __builtin_shufflevector(x, x, ");
    prelude_digits(out, t, true);
    buf_puts(out, ");\n}\nFN vec ldk_each(const real *p, int64_t k) { vec r = { 0 }; EACH r[i] = p[i / B * k]; return r; }\n"
                  "/* The first n numbers, the first n blocks. */\n"
                  "FN vec ldk_each_some(const real *p, int64_t k, int64_t n)\n"
                  "{\n    vec r = { 0 };\n    EACH if (i / B < n) r[i] = p[i / B * k];\n    return r;\n}\n"
                  "FN vec ldk_blocks_some(const real *p, int64_t k, int64_t n)\n"
                  "{\n    vec r = { 0 };\n    EACH if (i / B < n) r[i] = p[i / B * k + i % B];\n    return r;\n}\n"
                  "FN vec ldk_blocks(const real *p, int64_t k)\n{\n");
    for (int k = 0; k < t->W / t->B; k++)
        buf_printf(out, "    const block b0_%d = *(const block_at *)(p + %d * k);\n", k, k);
    int stage = 0;
    for (int w = t->B; w < t->W; w *= 2, stage++) {
        buf_printf(out, "    typedef real many%d __attribute__((vector_size(%d)));\n", stage + 1, 2 * w * size);
        for (int k = 0; k < t->W / (2 * w); k++) {
            buf_printf(out, "    const many%d b%d_%d = __builtin_shufflevector(b%d_%d, b%d_%d, ", stage + 1, stage + 1, k, stage,
                       2 * k, stage, 2 * k + 1);
            prelude_list(out, 2 * w, 1, 0);
            buf_puts(out, ");\n");
        }
    }
    buf_printf(out, "    return b%d_0;\n}\n", stage);
    buf_puts(out, "FN void st_block(real *p, vec x) { *(block_at *)p = __builtin_shufflevector(x, x, ");
    prelude_list(out, t->B, 1, 0);
    buf_puts(out, "); }\nFN void st_block_add(real *p, vec x, int add) { st_block(p, add ? ld(p) + x : x); }\n\n");
}

/* What the blocks of a vector come to, in each of them. */
static void prelude_folded(Buf *out, const Target *t, const char *which, const char *sum)
{
    buf_printf(out, "FN vec folded_%s(vec x)\n{\n", which);
    for (int by = t->W / 2; by >= t->B; by /= 2) {
        buf_printf(out, "    x = %s(x%s__builtin_shufflevector(x, x", sum, *sum ? ", " : " + ");
        for (int k = 0; k < t->W; k++)
            buf_printf(out, ", %d", (k + by) % t->W);
        buf_puts(out, "));\n");
    }
    buf_puts(out, "    return x;\n}\n");
}

/* As `turn`, with W / B blocks of lanes in a vector: every second number goes to the first half, until each lane is
 * alone. */
static void prelude_deal(Buf *out, const Target *t)
{
    const int W = t->W, B = t->B;
    int stage = 0;

    for (int i = 0; i < B; i++)
        buf_printf(out, "    const vec r0_%d = %d < n ? vand(vlive((n - %d) * B), ld(p + %d)) : none;\n", i, i * (W / B),
                   i * (W / B), i * W);
    for (int h = 1; h < B; h *= 2, stage++)
        for (int i = 0; i < B; i++) {
            buf_printf(out, "    const vec r%d_%d = __builtin_shufflevector(r%d_%d, r%d_%d, ", stage + 1, i, stage,
                       2 * i % B, stage, 2 * i % B + 1);
            prelude_list(out, W, 2, 2 * i / B);
            buf_puts(out, ");\n");
        }
    for (int lane = 0; lane < B; lane++)
        buf_printf(out, "    to[%d * step] = r%d_%d;\n", lane, stage, lane);
    buf_puts(out, "}\n\n");
}

/* W rows of a block of lanes, turned over: lane i of them becomes vector i.  Rows from n on count as 0. */
static void prelude_turn(Buf *out, const Target *t)
{
    const int W = t->W;

    buf_puts(out, "FUNCTION void turn(const real *p, int64_t n, vec *to, int64_t step)\n{\n    const vec none = { 0 };\n");
    if (t->B < W) {
        prelude_deal(out, t);
        return;
    }
    for (int i = 0; i < W; i++)
        buf_printf(out, "    const vec r0_%d = %d < n ? ld(p + %d) : none;\n", i, i, i * W);
    int stage = 0;
    for (int h = W / 2; h >= 1; h /= 2, stage++)
        for (int i = 0; i < W; i++) {
            const int low = i & ~h;
            buf_printf(out, "    const vec r%d_%d = __builtin_shufflevector(r%d_%d, r%d_%d", stage + 1, i, stage, low,
                       stage, low + h);
            for (int k = 0; k < W; k++)
                buf_printf(out, ", %d", (k & ~h) + (i & h) + (k & h ? W : 0));
            buf_puts(out, ");\n");
        }
    for (int i = 0; i < W; i++)
        buf_printf(out, "    to[%d * step] = r%d_%d;\n", i, stage, i);
    buf_puts(out, "}\n\n");
}

static const char prelude_basics[] =
"FN vec ld(const real *p) { return *(const vec_at *)p; }\n"
"FN vec ldk(const real *p, int64_t k) { vec r = { 0 }; EACH r[i] = p[i * k]; return r; }\n"
"/* The first n: those behind them may not be there to read. */\n"
"FN vec ldk_some(const real *p, int64_t k, int64_t n) { vec r = { 0 }; EACH if (i < n) r[i] = p[i * k]; return r; }\n"
"FN void st(real *p, vec x) { *(vec_at *)p = x; }\n"
"FN void st_add(real *p, vec x, int add) { st(p, add ? ld(p) + x : x); }\n"
"FN void st_some(real *p, vec x, int64_t n) { for (int64_t i = 0; i < n; i++) p[i] = x[i]; }\n"
"FN void st_some_add(real *p, vec x, int64_t n, int add) { st_some(p, add ? ld(p) + x : x, n); }\n"
"FN ivec vmask(int c) { return wsplat(c ? -1 : 0); }\n"
"/* A key as a number of a vector; the keys it meets there lie between. */\n"
"FN ivec isplat(int64_t x)\n"
"{\n"
"    const int64_t most = (int64_t)1 << 30;\n"
"    return wsplat((whole)(x > most ? most : x < -most ? -most : x));\n"
"}\n"
"/* The first n. */\n"
"FN ivec vlive(int64_t n) { return (ivec)(COUNT_UP < wsplat((whole)(n < W ? n : W))); }\n"
"FN ivec vlanes(int64_t n) { return (ivec)(COUNT_LANES < wsplat((whole)(n < B ? n : B))); }\n"
"FN vec vand(ivec m, vec x) { return (vec)(m & (ivec)x); }\n"
"FN vec sel(ivec m, vec x, vec y) { return (vec)((m & (ivec)x) | (~m & (ivec)y)); }\n"
"FN ivec isel(ivec m, ivec x, ivec y) { return (m & x) | (~m & y); }\n"
"FN int64_t floor_div(int64_t x, int64_t d) { return x / d - (x % d < 0); }\n"
"FN int64_t ceil_div(int64_t x, int64_t d) { return x / d + (x % d > 0); }\n"
"FN int64_t int_min(int64_t x, int64_t y) { return x < y ? x : y; }\n"
"FN int64_t int_max(int64_t x, int64_t y) { return x > y ? x : y; }\n"
"\n";

static const char prelude_numbers[] =
"/* Larger and smaller: NaN wins, of equals the second stays.  beats: x takes the place of y. */\n"
"FN vec vmax(vec x, vec y) { return sel((ivec)(x != x), x, vraw_max(x, y)); }\n"
"FN vec vmin(vec x, vec y) { return sel((ivec)(x != x), x, vraw_min(x, y)); }\n"
"FN real smax(real x, real y) { return x > y || x != x ? x : y; }\n"
"FN real smin(real x, real y) { return x < y || x != x ? x : y; }\n"
"FN ivec vbeats_max(vec x, vec y) { return (ivec)(y == y) & ~(ivec)(x <= y); }\n"
"FN ivec vbeats_min(vec x, vec y) { return (ivec)(y == y) & ~(ivec)(x >= y); }\n"
"FN int sbeats_max(real x, real y) { return y == y && !(x <= y); }\n"
"FN int sbeats_min(real x, real y) { return y == y && !(x >= y); }\n"
"FN ivec vsame(vec x, vec y) { return (ivec)(x == y) | ((ivec)(x != x) & (ivec)(y != y)); }\n"
"FN ivec vdiffer(vec x, vec y) { return ~vsame(x, y); }\n"
"FN int ssame(real x, real y) { return x == y || (x != x && y != y); }\n"
"FN int sdiffer(real x, real y) { return !ssame(x, y); }\n"
"\n"
"#define SIGN_BIT ((ivec)splat(-R(0.0)))\n"
"FN vec vabs(vec x) { return (vec)(~SIGN_BIT & (ivec)x); }\n"
"FN real sabs(real x) { return M(fabs)(x); }\n"
"FN vec vsign(vec x)\n"
"{\n"
"    const vec one = sel((ivec)(x > 0), splat(1), splat(-1));\n"
"    return sel((ivec)(x != x), x, vand((ivec)(x != 0), one));\n"
"}\n"
"FN real ssign(real x) { return x > 0 ? 1 : x < 0 ? -1 : x != x ? x : 0; }\n"
"FN real ssqrt(real x) { return M(sqrt)(x); }\n"
"FN real sfloor(real x) { return M(floor)(x); }\n"
"FN real sceil(real x) { return M(ceil)(x); }\n"
"/* pow(x, 0.5) */\n"
"FN vec vroot(vec x) { return sel((ivec)(x == splat(-INFINITE)), splat(INFINITE), vsqrt(x) + splat(0)); }\n"
"FN real sroot(real x) { return x == -INFINITE ? INFINITE : ssqrt(x) + 0; }\n"
"/* Half away from zero. */\n"
"FN vec vround(vec x)\n"
"{\n"
"    const vec t = vtrunc(x), d = vabs(x - t);\n"
"    const vec one = (vec)((SIGN_BIT & (ivec)x) | (ivec)splat(1));\n"
"    return sel((ivec)(d >= splat(R(0.5))), t + one, t);\n"
"}\n"
"FN real sround(real x) { return M(round)(x); }\n"
"FN vec vroundto(vec x, vec ten)\n"
"{\n"
"    const vec r = vround(x * ten) / ten;\n"
"    return sel((ivec)(r - r == splat(0)), r, x);\n"
"}\n"
"FN real sroundto(real x, real ten)\n"
"{\n"
"    const real r = M(round)(x * ten) / ten;\n"
"    return r - r == 0 ? r : x;\n"
"}\n"
"\n"
"/* One number at a time. */\n"
"FUNCTION vec vlog10(vec x) { vec r = { 0 }; EACH r[i] = M(log10)(x[i]); return r; }\n"
"FUNCTION vec vtan(vec x) { vec r = { 0 }; EACH r[i] = M(tan)(x[i]); return r; }\n"
"FUNCTION vec vatan(vec x) { vec r = { 0 }; EACH r[i] = M(atan)(x[i]); return r; }\n"
"FUNCTION vec vpow(vec x, vec y) { vec r = { 0 }; EACH r[i] = M(pow)(x[i], y[i]); return r; }\n"
"FN real slog10(real x) { return M(log10)(x); }\n"
"FN real stan(real x) { return M(tan)(x); }\n"
"FN real satan(real x) { return M(atan)(x); }\n"
"FN real spow(real x, real y) { return M(pow)(x, y); }\n";

static const char prelude_f32[] =
"\n"
"/* x = n ln(2) + r: returns n as an integer and exp(r) - 1 in *p.  x between -2^21 and 2^21. */\n"
"FN ivec exp_parts(vec x, vec *p)\n"
"{\n"
"    const vec magic = splat(12582912.0f), z = x * splat(1.44269504f) + magic, n = z - magic;\n"
"    const vec r = (x - n * splat(0.693359375f)) - n * splat(-2.12194440e-4f), r2 = r * r;\n"
"    vec q = splat(1.3946779e-3f);\n"
"    q = q * r + splat(8.3667774e-3f);\n"
"    q = q * r + splat(4.1666278e-2f);\n"
"    q = q * r + splat(0.166665415f);\n"
"    q = q * r + splat(0.50000001f);\n"
"    *p = q * r2 + r;\n"
"    return (ivec)z - (ivec)magic;\n"
"}\n"
"FN vec power2(ivec n) { return (vec)((n + 127) << 23); }\n"
"\n"
"FN vec vexp(vec x)\n"
"{\n"
"    vec p;\n"
"    x = sel((ivec)(x > splat(89.0f)), splat(89.0f), x);\n"
"    x = sel((ivec)(x < splat(-104.0f)), splat(-104.0f), x);\n"
"    const ivec n = exp_parts(x, &p), half = n >> 1;\n"
"    return (p + splat(1)) * power2(half) * power2(n - half);\n"
"}\n"
"\n"
"FN vec vtanh(vec x)\n"
"{\n"
"    vec p, y = vabs(x) * splat(2);\n"
"    y = sel((ivec)(y > splat(20.0f)), splat(20.0f), y);\n"
"    const vec s = power2(exp_parts(y, &p)), e = p * s + (s - splat(1));\n"
"    return (vec)((ivec)(e / (e + splat(2))) | (SIGN_BIT & (ivec)x));\n"
"}\n"
"\n"
"FN vec vln(vec x)\n"
"{\n"
"    const ivec tiny = (ivec)(x < splat(1.17549435e-38f));\n"
"    const ivec i = (ivec)sel(tiny, x * splat(8388608.0f), x) - 0x3f3504f3;\n"
"    const ivec e = (i >> 23) - (tiny & 23);\n"
"    const vec n = __builtin_convertvector(e, vec);\n"
"    const vec f = (vec)((i & 0x7fffff) + 0x3f3504f3) - splat(1), f2 = f * f;\n"
"    vec q = splat(6.9153366e-2f);\n"
"    q = q * f + splat(-0.117897321f);\n"
"    q = q * f + splat(0.118729455f);\n"
"    q = q * f + splat(-0.123843588f);\n"
"    q = q * f + splat(0.142186643f);\n"
"    q = q * f + splat(-0.166692505f);\n"
"    q = q * f + splat(0.200022263f);\n"
"    q = q * f + splat(-0.249999866f);\n"
"    q = q * f + splat(0.333333104f);\n"
"    q = q * f * f2 + n * splat(-2.12194440e-4f);\n"
"    vec r = (q - f2 * splat(0.5f)) + f + n * splat(0.693359375f);\n"
"    r = sel((ivec)(x < splat(INFINITE)), r, x);\n"
"    r = sel((ivec)(x == splat(0)), splat(-INFINITE), r);\n"
"    return sel((ivec)(x < splat(0)), splat(NOT_A_NUMBER), r);\n"
"}\n"
"\n"
"/* x less a multiple of pi/2, for |x| <= 8192; returns which multiple. */\n"
"FN ivec quarter(vec x, vec *r)\n"
"{\n"
"    const vec magic = splat(12582912.0f), z = x * splat(0.636619772f) + magic, n = z - magic;\n"
"    *r = ((x - n * splat(1.5703125f)) - n * splat(4.837512969970703125e-4f)) - n * splat(7.54978995489188216e-8f);\n"
"    return (ivec)z - (ivec)magic;\n"
"}\n"
"\n"
"FN vec sine_or_cosine(vec x, int cosine)\n"
"{\n"
"    vec r;\n"
"    const ivec q = quarter(x, &r) + cosine;\n"
"    const vec r2 = r * r;\n"
"    const vec s = r + r * r2 * (splat(-0.166666542f) + r2 * (splat(8.3321315e-3f) + r2 * splat(-1.9510839e-4f)));\n"
"    const vec c = (splat(1) - r2 * splat(0.5f))\n"
"                + r2 * r2 * (splat(4.1666645e-2f) + r2 * (splat(-1.3887306e-3f) + r2 * splat(2.4431206e-5f)));\n"
"    return (vec)((ivec)sel((ivec)((q & 1) != 0), c, s) ^ ((q & 2) << 30));\n"
"}\n"
"\n"
"FUNCTION vec vsin(vec x)\n"
"{\n"
"    if (!any(~(ivec)(vabs(x) <= splat(8192.0f))))\n"
"        return sel((ivec)(x == splat(0)), x, sine_or_cosine(x, 0));\n"
"    vec r = { 0 };\n"
"    EACH r[i] = __builtin_sinf(x[i]);\n"
"    return r;\n"
"}\n"
"\n"
"FUNCTION vec vcos(vec x)\n"
"{\n"
"    if (!any(~(ivec)(vabs(x) <= splat(8192.0f))))\n"
"        return sine_or_cosine(x, 1);\n"
"    vec r = { 0 };\n"
"    EACH r[i] = __builtin_cosf(x[i]);\n"
"    return r;\n"
"}\n";

static const char prelude_f64[] =
"\n"
"/* x = n ln(2) + r: returns n as an integer and exp(r) - 1 in *p.  x between -2^50 and 2^50. */\n"
"FN ivec exp_parts(vec x, vec *p)\n"
"{\n"
"    const vec magic = splat(6755399441055744.0), z = x * splat(1.4426950408889634) + magic, n = z - magic;\n"
"    const vec r = (x - n * splat(6.93145751953125e-1)) - n * splat(1.42860682030941723e-6), r2 = r * r;\n"
"    vec q = splat(2.0924741491416672e-9);\n"
"    q = q * r + splat(2.5109373453967503e-8);\n"
"    q = q * r + splat(2.75572418112300424e-7);\n"
"    q = q * r + splat(2.75572433140287334e-6);\n"
"    q = q * r + splat(2.4801587361642337e-5);\n"
"    q = q * r + splat(1.9841269890693894e-4);\n"
"    q = q * r + splat(1.3888888888866302e-3);\n"
"    q = q * r + splat(8.3333333333213435e-3);\n"
"    q = q * r + splat(4.1666666666666702e-2);\n"
"    q = q * r + splat(0.16666666666666677);\n"
"    q = q * r + splat(0.5);\n"
"    *p = q * r2 + r;\n"
"    return (ivec)z - (ivec)magic;\n"
"}\n"
"FN vec power2(ivec n) { return (vec)((n + 1023) << 52); }\n"
"\n"
"FN vec vexp(vec x)\n"
"{\n"
"    vec p;\n"
"    x = sel((ivec)(x > splat(710.0)), splat(710.0), x);\n"
"    x = sel((ivec)(x < splat(-746.0)), splat(-746.0), x);\n"
"    const ivec n = exp_parts(x, &p), half = (ivec)((uvec)(n + 4096) >> 1) - 2048;\n"
"    return (p + splat(1)) * power2(half) * power2(n - half);\n"
"}\n"
"\n"
"FN vec vtanh(vec x)\n"
"{\n"
"    vec p, y = vabs(x) * splat(2);\n"
"    y = sel((ivec)(y > splat(40.0)), splat(40.0), y);\n"
"    const vec s = power2(exp_parts(y, &p)), e = p * s + (s - splat(1));\n"
"    return (vec)((ivec)(e / (e + splat(2))) | (SIGN_BIT & (ivec)x));\n"
"}\n"
"\n"
"FN vec vln(vec x)\n"
"{\n"
"    const ivec tiny = (ivec)(x < splat(2.2250738585072014e-308)), root = wsplat(0x3fe6a09e667f3bcd);\n"
"    const ivec i = (ivec)sel(tiny, x * splat(4503599627370496.0), x) - root;\n"
"    const ivec e = (ivec)(((uvec)i + ((uint64_t)1 << 63)) >> 52) - 2048 - (tiny & 52);\n"
"    const vec magic = splat(6755399441055744.0), n = (vec)(e + (ivec)magic) - magic;\n"
"    const vec f = (vec)((i & 0xfffffffffffff) + root) - splat(1);\n"
"    const vec s = f / (splat(2) + f), z = s * s, h = f * f * splat(0.5);\n"
"    vec q = splat(0.13267127091029078);\n"
"    q = q * z + splat(0.13248381426186967);\n"
"    q = q * z + splat(0.15387167746855218);\n"
"    q = q * z + splat(0.18181773905557275);\n"
"    q = q * z + splat(0.22222222668779027);\n"
"    q = q * z + splat(0.28571428568940031);\n"
"    q = q * z + splat(0.40000000000006702);\n"
"    q = q * z + splat(0.66666666666666660);\n"
"    q = q * z;\n"
"    vec r = n * splat(6.93145751953125e-1) - ((h - (s * (h + q) + n * splat(1.42860682030941723e-6))) - f);\n"
"    r = sel((ivec)(x < splat(INFINITE)), r, x);\n"
"    r = sel((ivec)(x == splat(0)), splat(-INFINITE), r);\n"
"    return sel((ivec)(x < splat(0)), splat(NOT_A_NUMBER), r);\n"
"}\n"
"\n"
"FUNCTION vec vsin(vec x) { vec r = { 0 }; EACH r[i] = __builtin_sin(x[i]); return r; }\n"
"FUNCTION vec vcos(vec x) { vec r = { 0 }; EACH r[i] = __builtin_cos(x[i]); return r; }\n";

static const char prelude_singles[] =
"\n"
"/* One number, with the bits it would have in a vector. */\n"
"FN real sexp(real x) { return vexp(splat(x))[0]; }\n"
"FN real sln(real x) { return vln(splat(x))[0]; }\n"
"FN real stanh(real x) { return vtanh(splat(x))[0]; }\n"
"FN real ssin(real x) { return vsin(splat(x))[0]; }\n"
"FN real scos(real x) { return vcos(splat(x))[0]; }\n"
"\n";

/* The type of half a vector, and how two halves are made and joined. */
static void prelude_halves(Buf *out, const Target *t)
{
    buf_printf(out, "typedef real half __attribute__((vector_size(%d)));\n#define LOW(x) __builtin_shufflevector(x, x, ",
               t->W * (t->f64 ? 8 : 4) / 2);
    prelude_list(out, t->W / 2, 1, 0);
    buf_puts(out, ")\n#define HIGH(x) __builtin_shufflevector(x, x, ");
    prelude_list(out, t->W / 2, 1, t->W / 2);
    buf_puts(out, ")\n#define BOTH(x, y) __builtin_shufflevector(x, y, ");
    prelude_list(out, t->W, 1, 0);
    buf_puts(out, ")\n");
}

/* What one instruction does, where the vectors are 16 or 32 bytes, or two of 32: builtin `name` of the arguments
 * `x` and `more`.  The compilers do not agree on builtins of 64 bytes. */
static void prelude_builtin(Buf *out, const Target *t, const char *function, const char *name, const char *x,
                            const char *more, const char *otherwise)
{
    const int size = t->W * (t->f64 ? 8 : 4);
    const bool has = size == 16 || size == 32 || (size == 64 && x);
    const char *type = t->f64 ? "pd" : "ps", *wide = size == 16 ? "" : "256";

    buf_printf(out, "FN vec %s\n{\n", function);
    if (has)
        buf_printf(out, "#ifdef %s\n", size == 16 ? "__SSE4_1__" : "__AVX__");
    if (has && size == 64)
        buf_printf(out, "    return BOTH(__builtin_ia32_%s%s256(LOW(x)%s), __builtin_ia32_%s%s256(HIGH(x)%s));\n", name, type,
                   more, name, type, more);
    else if (has)
        buf_printf(out, "    return __builtin_ia32_%s%s%s(%s%s);\n", name, type, wide, x ? x : "x, y", more);
    buf_printf(out, "%s    %s\n%s}\n", has ? "#else\n" : "", otherwise, has ? "#endif\n" : "");
}

static void prelude_builtins(Buf *out, const Target *t)
{
    const int size = t->W * (t->f64 ? 8 : 4);
    const char *type = t->f64 ? "pd" : "ps";

    if (size == 64)
        prelude_halves(out, t);
    prelude_builtin(out, t, "vraw_max(vec x, vec y)", "max", NULL, "", "return sel((ivec)(x > y), x, y);");
    prelude_builtin(out, t, "vraw_min(vec x, vec y)", "min", NULL, "", "return sel((ivec)(x < y), x, y);");
    prelude_builtin(out, t, "vsqrt(vec x)", "sqrt", "x", "", "vec r = { 0 }; EACH r[i] = M(sqrt)(x[i]); return r;");
    prelude_builtin(out, t, "vfloor(vec x)", "round", "x", ", 9",
                    "vec r = { 0 }; EACH r[i] = M(floor)(x[i]); return r;");
    prelude_builtin(out, t, "vceil(vec x)", "round", "x", ", 10", "vec r = { 0 }; EACH r[i] = M(ceil)(x[i]); return r;");
    prelude_builtin(out, t, "vtrunc(vec x)", "round", "x", ", 11",
                    "vec r = { 0 }; EACH r[i] = M(trunc)(x[i]); return r;");
    buf_puts(out, "FN int any(ivec m)\n{\n");
    if (size == 64)
        buf_printf(out, "#ifdef __AVX__\n    return __builtin_ia32_movmsk%s256(LOW((vec)m)) | "
                        "__builtin_ia32_movmsk%s256(HIGH((vec)m));\n#endif\n", type, type);
    else if (size == 16 || size == 32)
        buf_printf(out, "#ifdef %s\n    return __builtin_ia32_movmsk%s%s((vec)m) != 0;\n#endif\n",
                   size == 32 ? "__AVX__" : "__SSE4_1__", type, size == 32 ? "256" : "");
    buf_puts(out, "    whole r = 0;\n    EACH r |= m[i];\n    return r != 0;\n}\n\n");
}

/* The greatest or the least of a vector: with the vector turned by half of it, by a quarter …; a NaN stays. */
static void prelude_across(Buf *out, const Target *t, const char *which)
{
    buf_printf(out, "FN real across_%s(vec x)\n{\n", which);
    for (int by = t->W / 2; by > 0; by /= 2) {
        buf_printf(out, "    x = v%s(x, __builtin_shufflevector(x, x", which);
        for (int k = 0; k < t->W; k++)
            buf_printf(out, ", %d", (k + by) % t->W);
        buf_puts(out, "));\n");
    }
    buf_puts(out, "    return x[0];\n}\n");
}

void nest_prelude(Buf *out, const Target *t)
{
    prelude_types(out, t);
    prelude_few(out, t);
    buf_puts(out, prelude_basics);
    prelude_turn(out, t);
    prelude_builtins(out, t);
    buf_puts(out, prelude_numbers);
    if (t->B < t->W) {
        prelude_blocks(out, t);
        prelude_folded(out, t, "sum", "");
        prelude_folded(out, t, "max", "vmax");
        prelude_folded(out, t, "min", "vmin");
    }
    prelude_across(out, t, "max");
    prelude_across(out, t, "min");
    buf_puts(out, t->f64 ? prelude_f64 : prelude_f32);
    buf_puts(out, prelude_singles);
}
