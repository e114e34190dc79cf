/* SPDX-License-Identifier: Apache-2.0
 *
 * native_ints.c - kernels on integers and texts.  NULL and overflow travel in the integers themselves:
 * KEY_NULL, KEY_BAD.  An overflow that is never stored or compared (a branch not taken) is no error. */
#include "exec/native.h"

#include <string.h>

static int64_t checked(bool overflow, int64_t r)
{
    return overflow || !IS_KEY(r) ? KEY_BAD : r;
}

static int64_t int_op(Op op, int64_t x, int64_t y)
{
    int64_t r;
    bool o;

    if (op == OP_add) {
        o = __builtin_add_overflow(x, y, &r);
        return checked(o, r);
    }
    if (op == OP_sub) {
        o = __builtin_sub_overflow(x, y, &r);
        return checked(o, r);
    }
    if (op == OP_mul) {
        o = __builtin_mul_overflow(x, y, &r);
        return checked(o, r);
    }
    if (op == OP_idiv)
        return y == 0 ? KEY_NULL : x / y;           /* x > INT64_MIN, so x / -1 is safe */
    if (op == OP_mod)
        return y == 0 ? KEY_NULL : y == -1 ? 0 : x % y;
    if (op == OP_max)
        return x > y ? x : y;
    if (op == OP_min)
        return x < y ? x : y;
    if (op == OP_neg)
        return -x;
    if (op == OP_abs)
        return x < 0 ? -x : x;
    if (op == OP_sign)
        return (x > 0) - (x < 0);
    BUG("int_op: %s", op_info[op].name);
}

void ints_op(Op op, int64_t *d, const int64_t *a, const int64_t *b, size_t n)
{
    for (size_t k = 0; k < n; k++) {
        const int64_t x = a[k], y = b ? b[k] : 0;
        if (IS_KEY(x) && IS_KEY(y))
            d[k] = int_op(op, x, y);
        else
            d[k] = x == KEY_NULL || y == KEY_NULL ? KEY_NULL : KEY_BAD;
    }
}

static bool holds(Op op, int c)
{
    return op == OP_eq ? c == 0 : op == OP_ne ? c != 0 : op == OP_lt ? c < 0 : op == OP_le ? c <= 0
         : op == OP_gt ? c > 0 : c >= 0;
}

void ints_compare(Op op, uint8_t *d, const int64_t *a, const int64_t *b, size_t n, bool *bad)
{
    for (size_t k = 0; k < n; k++) {
        const int64_t x = a[k], y = b[k];
        *bad |= x == KEY_BAD || y == KEY_BAD;
        d[k] = x == KEY_NULL || y == KEY_NULL ? 1 : (uint8_t)(2 * holds(op, (x > y) - (x < y)));
    }
}

void texts_compare(const Dict *dict, Op op, uint8_t *d, const int64_t *a, const int64_t *b, size_t n)
{
    for (size_t k = 0; k < n; k++)
        if (a[k] == KEY_NULL || b[k] == KEY_NULL)
            d[k] = 1;
        else
            d[k] = (uint8_t)(2 * holds(op, a[k] == b[k] ? 0 : strcmp(dict_text(dict, a[k]), dict_text(dict, b[k]))));
}

void texts_extreme(const Dict *dict, bool max, int64_t *d, const int64_t *a, const int64_t *b, size_t n)
{
    for (size_t k = 0; k < n; k++)
        if (a[k] == KEY_NULL || b[k] == KEY_NULL)
            d[k] = KEY_NULL;
        else
            d[k] = (strcmp(dict_text(dict, a[k]), dict_text(dict, b[k])) > 0) == max ? a[k] : b[k];
}

/* CAST of a text as SQLite does it: the longest prefix that is a number, else 0. */
int64_t text_to_int(const char *s)
{
    int64_t i = 0;
    bool clamp = false;

    s += strspn(s, " \t\n\v\f\r");
    const bool neg = *s == '-';
    s += *s == '-' || *s == '+';
    for (; *s >= '0' && *s <= '9'; s++)
        clamp |= __builtin_mul_overflow(i, 10, &i) || __builtin_add_overflow(i, *s - '0', &i);
    i = clamp ? INT64_MAX : i;
    return neg ? -i : i;
}

double text_to_real(const char *s)
{
    double r = 0;

    s += strspn(s, " \t\n\v\f\r");
    size_t n = strspn(s, "+-0123456789.eE");
    while (n && !parse_real(s, n < 63 ? n : 63, &r))
        n = (n < 63 ? n : 63) - 1;
    return n ? r : 0;
}
