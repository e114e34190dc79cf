/* SPDX-License-Identifier: Apache-2.0
 *
 * lex.c - tokens of SQL source text, as far as the front needs them before and beside the parser:
 * to find statement ends and directives, to underline a word, and to read a name as the user
 * spells it (libpg_query folds it). Every token has at least one byte, so that scanning always
 * advances. */
#include "front/bind.h"

#include <string.h>

static bool is_digit(char ch)
{
    return ch >= '0' && ch <= '9';
}

static bool starts_name(char ch)
{
    return (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || ch == '_' || (ch & 0x80);
}

static bool is_blank(char ch)
{
    return ch == ' ' || (ch >= '\t' && ch <= '\r');
}

static size_t end_of_name(const char *s, size_t n, size_t i)
{
    while (i < n && (starts_name(s[i]) || is_digit(s[i]) || s[i] == '$')) i++;
    return i;
}

static size_t end_of_number(const char *s, size_t n, size_t i)
{
    while (i < n && is_digit(s[i])) i++;
    if (i < n && s[i] == '.' && !(i + 1 < n && s[i + 1] == '.'))
        for (i++; i < n && is_digit(s[i]);) i++;
    if (i < n && (s[i] | 32) == 'e') {
        const size_t sign = i + 1 < n && (s[i + 1] == '+' || s[i + 1] == '-');
        if (i + 1 + sign < n && is_digit(s[i + 1 + sign]))
            for (i += 1 + sign; i < n && is_digit(s[i]);) i++;
    }
    return i;
}

/* Past the closing quote, a doubled quote being part of the text; 0: not closed. */
static size_t end_of_quote(const char *s, size_t n, size_t i)
{
    const char q = s[i++];

    for (; i < n; i++)
        if (s[i] == q && !(i + 1 < n && s[i + 1] == q))
            return i + 1;
        else if (s[i] == q)
            i++;
    return 0;
}

static Tok lex_comment(const char *s, size_t n, size_t i)
{
    size_t j = i + 2;

    if (s[i] == '-') {
        while (j < n && s[j] != '\n') j++;
        return (Tok){ TOK_comment, i, j - i };
    }
    while (j + 1 < n && !(s[j] == '*' && s[j + 1] == '/')) j++;
    return j + 1 < n ? (Tok){ TOK_comment, i, j + 2 - i } : (Tok){ TOK_open, i, n - i };
}

Tok lex(const char *s, size_t n, size_t i)
{
    const char next = i + 1 < n ? s[i + 1] : 0;
    size_t j = i;

    if (i >= n)
        return (Tok){ TOK_end, n, 0 };
    if (is_blank(s[i])) {
        while (j < n && is_blank(s[j])) j++;
        return (Tok){ TOK_space, i, j - i };
    }
    if ((s[i] == '-' && next == '-') || (s[i] == '/' && next == '*'))
        return lex_comment(s, n, i);
    if (s[i] == '\'' || s[i] == '"') {
        j = end_of_quote(s, n, i);
        return j ? (Tok){ s[i] == '"' ? TOK_quoted : TOK_string, i, j - i }
                 : (Tok){ TOK_open, i, n - i };
    }
    if (starts_name(s[i]))
        return (Tok){ TOK_word, i, end_of_name(s, n, i) - i };
    if (is_digit(s[i]) || (s[i] == '.' && is_digit(next)))
        return (Tok){ TOK_number, i, end_of_number(s, n, i) - i };
    if (s[i] == '$')
        return (Tok){ TOK_dollar, i, end_of_name(s, n, i) - i };
    if (s[i] == ':' && next == ':')
        return (Tok){ TOK_punct, i, 2 };
    if (s[i] == ':' && starts_name(next) && !(next & 0x80)) {
        for (j = i + 1; j < n && (is_digit(s[j]) || (starts_name(s[j]) && !(s[j] & 0x80)));) j++;
        return (Tok){ TOK_var, i, j - i };
    }
    return (Tok){ TOK_punct, i, 1 };
}

Tok lex_solid(const char *s, size_t n, size_t i)
{
    Tok t = lex(s, n, i);

    while (t.kind == TOK_space || t.kind == TOK_comment)
        t = lex(s, n, t.off + t.len);
    return t;
}

char *lex_name(Arena *a, const char *s, Tok t)
{
    char *p = arena_strndup(a, s + t.off, t.len), *w = p;

    if (t.kind != TOK_quoted)
        return p;
    for (size_t i = 1; i + 1 < t.len; i++) {
        *w++ = p[i];
        i += p[i] == '"';
    }
    *w = 0;
    return p;
}

bool lex_is(const char *s, Tok t, const char *word)
{
    if (t.kind != TOK_word || t.len != strlen(word))
        return false;
    for (size_t i = 0; i < t.len; i++)
        if ((s[t.off + i] | 32) != (word[i] | 32))
            return false;
    return true;
}

int lex_shown(const char *s, Tok t)
{
    size_t n = t.len < 40 ? t.len : 40;

    while (n < t.len && n > 0 && (s[t.off + n] & 0xC0) == 0x80) n--;
    return (int)n;
}
