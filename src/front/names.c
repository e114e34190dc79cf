/* SPDX-License-Identifier: Apache-2.0
 *
 * names.c - names as the user spells them, and texts for messages.  libpg_query folds unquoted names and
 * does not say which were quoted, nor where an alias stands; both are read from the statement's text. */
#include "front/query.h"

static size_t stmt_len(const Query *q)
{
    return q->b->stmt ? strlen(q->b->stmt->text) : 0;
}

static const char *stmt_text(const Query *q)
{
    return q->b->stmt ? q->b->stmt->text : "";
}

static bool is_name(Tok t)
{
    return t.kind == TOK_word || t.kind == TOK_quoted;
}

static Tok tok_after(const char *s, size_t n, Tok t)
{
    return lex_solid(s, n, t.off + t.len);
}

static bool is_punct(const char *s, Tok t, char ch)
{
    return t.kind == TOK_punct && t.len == 1 && s[t.off] == ch;
}

static Ident ident_of(Query *q, Tok t)
{
    return (Ident){ lex_name(q->a, stmt_text(q), t), t.kind == TOK_quoted,
                    bind_span(q->b, (int)t.off, (int)t.len) };
}

int name_path(Query *q, int location, Ident *out, int max)
{
    const char *s = stmt_text(q);
    const size_t len = stmt_len(q);
    int n = 0;

    if (location < 0 || (size_t)location >= len)
        return 0;
    Tok t = lex_solid(s, len, (size_t)location);
    while (is_name(t) && n < max) {
        out[n++] = ident_of(q, t);
        t = tok_after(s, len, t);
        if (!is_punct(s, t, '.'))
            break;
        t = tok_after(s, len, t);
    }
    return n;
}

bool name_is(const char *def, const Ident *want)
{
    return want->quoted ? !strcmp(def, want->text) : ascii_ieq(def, want->text);
}

static bool folds_to(Query *q, Tok t, const char *folded)
{
    if (!is_name(t))
        return false;
    const char *text = lex_name(q->a, stmt_text(q), t);
    return t.kind == TOK_quoted ? !strcmp(text, folded) : ascii_ieq(text, folded);
}

Ident name_anywhere(Query *q, int from, const char *folded)
{
    const char *s = stmt_text(q);
    const size_t len = stmt_len(q);

    for (Tok t = lex_solid(s, len, from < 0 ? 0 : (size_t)from);
         t.kind != TOK_end && t.kind != TOK_open; t = tok_after(s, len, t))
        if (folds_to(q, t, folded))
            return ident_of(q, t);
    return (Ident){ folded, false, bind_span(q->b, from, 0) };
}

/* The alias is the last name before the comma or clause that ends the select item. */
Ident name_alias(Query *q, int location, const char *folded)
{
    const char *s = stmt_text(q);
    const size_t len = stmt_len(q);
    int depth = 0;
    bool found = false, after_distinct = false;
    Ident best = { folded, false, bind_span(q->b, location, 0) };

    if (location < 0 || (size_t)location >= len)
        return best;
    for (Tok t = lex_solid(s, len, (size_t)location); t.kind != TOK_end && t.kind != TOK_open;
         t = tok_after(s, len, t)) {
        depth += is_punct(s, t, '(') - is_punct(s, t, ')');
        if (depth < 0 || (depth == 0 && (is_punct(s, t, ',') || is_punct(s, t, ';'))))
            break;
        if (depth == 0 && found && lex_is(s, t, "from") && !after_distinct)
            break;
        after_distinct = lex_is(s, t, "distinct");
        if (depth == 0 && folds_to(q, t, folded)) {
            best = ident_of(q, t);
            found = true;
        }
    }
    return best;
}

Span span_join(Span x, Span y)
{
    if (!x.len || !y.len || x.file != y.file)
        return x.len ? x : y;
    const int off = x.off < y.off ? x.off : y.off;
    const int end = x.off + x.len > y.off + y.len ? x.off + x.len : y.off + y.len;
    return (Span){ off, end - off, x.file };
}

/* From a call's name to its closing parenthesis. */
Span span_call(Query *q, int location)
{
    const char *s = stmt_text(q);
    const size_t len = stmt_len(q);
    const Span name = bind_span(q->b, location, 0);
    int depth = 0;

    if (location < 0 || (size_t)location >= len)
        return name;
    for (Tok t = lex_solid(s, len, (size_t)location); t.kind != TOK_end && t.kind != TOK_open;
         t = tok_after(s, len, t)) {
        depth += is_punct(s, t, '(') - is_punct(s, t, ')');
        if (depth == 0 && !is_name(t) && !is_punct(s, t, '.'))
            return is_punct(s, t, ')') ? span_join(name, bind_span(q->b, (int)t.off, 1)) : name;
    }
    return name;
}

/* From CASE to its END. */
Span span_case(Query *q, int location)
{
    const char *s = stmt_text(q);
    const size_t len = stmt_len(q);
    int depth = 0;

    for (Tok t = lex_solid(s, len, location < 0 ? len : (size_t)location);
         t.kind != TOK_end && t.kind != TOK_open; t = tok_after(s, len, t)) {
        depth += lex_is(s, t, "case") - lex_is(s, t, "end");
        if (depth == 0)
            return span_join(bind_span(q->b, location, 0), bind_span(q->b, (int)t.off, 3));
    }
    return bind_span(q->b, location, 0);
}

/* Where a tree starts; protobuf-c keeps the location in a different place in each kind of node. */
Span node_span(Query *q, const Node *n)
{
    int at = -1;

    if (!n)
        return bind_span(q->b, -1, 0);
    switch ((int)n->node_case) {
    case PG_QUERY__NODE__NODE_COLUMN_REF: at = n->column_ref->location; break;
    case PG_QUERY__NODE__NODE_A_CONST: at = n->a_const->location; break;
    case PG_QUERY__NODE__NODE_A_EXPR:
        return n->a_expr->lexpr ? span_join(node_span(q, n->a_expr->lexpr),
                                            bind_span(q->b, n->a_expr->location, 0))
                                : bind_span(q->b, n->a_expr->location, 0);
    case PG_QUERY__NODE__NODE_BOOL_EXPR:
        return n->bool_expr->n_args ? node_span(q, n->bool_expr->args[0])
                                    : bind_span(q->b, n->bool_expr->location, 0);
    case PG_QUERY__NODE__NODE_FUNC_CALL: at = n->func_call->location; break;
    case PG_QUERY__NODE__NODE_CASE_EXPR: at = n->case_expr->location; break;
    case PG_QUERY__NODE__NODE_COALESCE_EXPR: at = n->coalesce_expr->location; break;
    case PG_QUERY__NODE__NODE_MIN_MAX_EXPR: at = n->min_max_expr->location; break;
    case PG_QUERY__NODE__NODE_TYPE_CAST: at = n->type_cast->location; break;
    case PG_QUERY__NODE__NODE_SUB_LINK: at = n->sub_link->location; break;
    case PG_QUERY__NODE__NODE_NULL_TEST: return node_span(q, n->null_test->arg);
    case PG_QUERY__NODE__NODE_BOOLEAN_TEST: return node_span(q, n->boolean_test->arg);
    case PG_QUERY__NODE__NODE_PARAM_REF: at = n->param_ref->location; break;
    case PG_QUERY__NODE__NODE_ROW_EXPR: at = n->row_expr->location; break;
    case PG_QUERY__NODE__NODE_RES_TARGET: at = n->res_target->location; break;
    case PG_QUERY__NODE__NODE_RANGE_VAR: at = n->range_var->location; break;
    case PG_QUERY__NODE__NODE_SORT_BY: return node_span(q, n->sort_by->node);
    case PG_QUERY__NODE__NODE_COMMON_TABLE_EXPR: at = n->common_table_expr->location; break;
    case PG_QUERY__NODE__NODE_A_INDIRECTION: return node_span(q, n->a_indirection->arg);
    case PG_QUERY__NODE__NODE_A_ARRAY_EXPR: at = n->a_array_expr->location; break;
    case PG_QUERY__NODE__NODE_SQLVALUE_FUNCTION: at = n->sqlvalue_function->location; break;
    case PG_QUERY__NODE__NODE_COLLATE_CLAUSE: return node_span(q, n->collate_clause->arg);
    case PG_QUERY__NODE__NODE_GROUPING_SET: at = n->grouping_set->location; break;
    case PG_QUERY__NODE__NODE_JOIN_EXPR: return node_span(q, n->join_expr->rarg);
    case PG_QUERY__NODE__NODE_RANGE_SUBSELECT: {
        const PgQuery__SelectStmt *u = n->range_subselect->subquery->select_stmt;
        return node_span(q, u->n_target_list    ? u->target_list[0]
                            : u->n_values_lists ? u->values_lists[0]
                                                : NULL);
    }
    case PG_QUERY__NODE__NODE_RANGE_FUNCTION:
        return n->range_function->n_functions ? node_span(q, n->range_function->functions[0])
                                              : bind_span(q->b, -1, 0);
    case PG_QUERY__NODE__NODE_LIST:
        return n->list->n_items ? node_span(q, n->list->items[0]) : bind_span(q->b, -1, 0);
    }
    return bind_span(q->b, at, 0);
}

const char *list_names(Arena *a, const char *const *name, int n)
{
    const char *text = "";

    for (int k = 0; k < n; k++) {
        if (k == 40)
            return arena_printf(a, "%s, … (%d more)", text, n - k);
        text = arena_printf(a, "%s%s%s", text, k ? ", " : "", name[k]);
    }
    return n ? text : "no columns";
}

const char *src_text(Query *q, Span at)
{
    const SrcFile *f = &q->b->c->file[at.file];
    const int len = at.len > 60 ? 60 : at.len;

    if (!at.len || (size_t)at.off + (size_t)len > f->len)
        return "this expression";
    int n = len;
    while (len < at.len && n > 0 &&
           (f->text[at.off + n] & 0xC0) == 0x80) /* not inside a character */
        n--;
    char *s = arena_strndup(q->a, f->text + at.off, (size_t)n);
    for (char *p = s; *p; p++)
        if (*p == '\n' || *p == '\t' || *p == '\r')
            *p = ' ';
    return len < at.len ? arena_printf(q->a, "%s…", s) : s;
}

const char *node_string(const Node *n)
{
    return n && n->node_case == PG_QUERY__NODE__NODE_STRING ? n->string->sval : NULL;
}

bool reserved_name(Query *q, const char *name)
{
    return !strncmp(name, GEN_PREFIX, strlen(GEN_PREFIX)) && !(q->b->scan && q->b->scan->canonical);
}

const char *fresh_name(Query *q)
{
    for (;;) {
        const char *name = name_fit(q->a, GEN_PREFIX, q->stem, arena_printf(q->a, "_%d", ++q->b->n_gen));
        if (prog_claim_name(q->b->p, name))
            return name;
    }
}
