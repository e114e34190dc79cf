/* SPDX-License-Identifier: Apache-2.0
 *
 * errors.h - every error and note id, once.  The runner fails if an id has no case in test/cases.
 * An id is dotted lower case, `stage.what`; the macro is ERR_stage_what.  Add a line to your
 * layer's section.  E(macro suffix, dotted text, what it means (for doc/errors.md)) */
#ifndef SG_ERRORS_H
#define SG_ERRORS_H

#define ERRORS_BASE(E)                                                                             \
    E(mem_exhausted, "mem.exhausted", "memory ran out")

#define ERRORS_FRONT(E)                                                                            \
    E(scan_file, "scan.file", "the text cannot be a model: empty, too large, not UTF-8, or with NUL bytes") \
    E(scan_limit, "scan.limit", "a statement is too long, has too many tokens, or is nested too deeply; or there are too many") \
    E(scan_include, "scan.include", "an included file that cannot be read, includes itself, or lies too deep") \
    E(scan_open, "scan.open", "a quote or comment that is not closed")                             \
    E(scan_token, "scan.token", "a token the language does not have: dollar quotes, E'…' strings, names over 63 bytes") \
    E(scan_syntax, "scan.syntax", "PostgreSQL's grammar does not accept the statement")            \
    E(scan_statement, "scan.statement", "a statement of a kind that models do not have")           \
    E(directive_unknown, "directive.unknown", "an unknown word after -- @")                        \
    E(directive_syntax, "directive.syntax", "a directive that cannot be read")                     \
    E(directive_place, "directive.place", "a directive before the wrong statement, inside one, before none, or twice") \
    E(directive_argument, "directive.argument", "an unknown, missing or wrong argument of a directive") \
    E(directive_objective, "directive.objective", "a table that two objectives would move")           \
    E(directive_update, "directive.update", "an @update whose target is no parameter, or whose rows do not fit it") \
    E(declare_type, "declare.type", "a column type that is not supported, or differs from the database's") \
    E(declare_clause, "declare.clause", "a clause of CREATE TABLE (…) that has no meaning here")   \
    E(declare_column, "declare.column", "a column declared twice, missing in the database, or of the wrong kind") \
    E(declare_data, "declare.data", "what the database holds contradicts the declaration")         \
    E(declare_shape, "declare.shape", "the CHECKs of a @param or @range table do not give a finite, non-empty set of rows") \
    E(bind_no_table, "bind.no_table", "a table that neither the file nor the database has")        \
    E(bind_order, "bind.order", "a table read before its definition")                              \
    E(bind_twice, "bind.twice", "a table defined twice")                                           \
    E(bind_name, "bind.name", "a name that is not allowed: reserved prefix, schema, repeated column") \
    E(bind_statement, "bind.statement", "a clause or statement that models do not have, or not yet") \
    E(bind_var, "bind.var", "a :name without a number, or a --set that nothing uses")              \
    E(bind_result, "bind.result", "a @loss or @metric that is not one row with a number")          \
    E(bind_noise, "bind.noise", "a @noise table without a value column, or whose keys may repeat")  \
    E(bind_param, "bind.param", "a parameter whose rows or columns cannot be trained")             \
    E(bind_loop, "bind.loop", "a loop whose bounds or statements cannot be repeated")              \
    E(bind_insert, "bind.insert", "an INSERT whose rows do not fit its table")                      \
    E(bind_target, "bind.target", "a table asked for that does not exist")                         \
    E(bind_list, "bind.list", "a list of names that cannot be read")                               \
    E(bind_text, "bind.text", "an expression text that is not one expression")                     \
    E(bind_unbatched, "bind.unbatched", "note: a table without @data is joined to a batch key")     \
    E(bind_same_name, "bind.same_name", "note: file and database have a table of the same name")

#define ERRORS_QUERY(E) \
    E(query_no_column, "query.no_column", "a column that the tables of FROM do not have") \
    E(query_no_table, "query.no_table", "a table name before a dot that FROM does not have") \
    E(query_ambiguous, "query.ambiguous", "a column name that several tables of FROM have") \
    E(query_alias, "query.alias", "two tables of FROM with one name, or more new column names than columns") \
    E(query_duplicate, "query.duplicate", "two output columns with one name") \
    E(query_reserved, "query.reserved", "a name with the prefix of generated names") \
    E(query_from, "query.from", "something in FROM that is no table, subquery or join") \
    E(query_join, "query.join", "RIGHT or FULL JOIN, or a join with an alias") \
    E(query_using, "query.using", "a USING column that one side of the join does not have") \
    E(query_with, "query.with", "WITH RECURSIVE, or WITH over something else than SELECT") \
    E(query_clause, "query.clause", "a clause of SELECT that the language does not have") \
    E(query_ordinal, "query.ordinal", "GROUP BY or ORDER BY a position that the select list does not have") \
    E(query_order, "query.order", "ORDER BY without LIMIT or the reverse, or a LIMIT that is no number") \
    E(query_set, "query.set", "INTERSECT or EXCEPT") \
    E(query_union, "query.union", "branches of UNION that differ in columns or types") \
    E(query_untyped, "query.untyped", "a column that is always NULL") \
    E(query_limit, "query.limit", "a query with too many tables, columns, keys, rows or levels") \
    E(expr_type, "expr.type", "TEXT where a number is needed, or beside one; % of a REAL") \
    E(expr_condition, "expr.condition", "a value where a condition is needed") \
    E(expr_number, "expr.number", "a number that cannot be read") \
    E(expr_operator, "expr.operator", "an operator that the language does not have") \
    E(expr_function, "expr.function", "a function that the language does not have") \
    E(expr_arguments, "expr.arguments", "wrong arguments of a function") \
    E(expr_cast, "expr.cast", "a CAST that the language does not have") \
    E(expr_star, "expr.star", "* where it does not stand for columns") \
    E(expr_size, "expr.size", "an expression that is nested too deeply or becomes too large") \
    E(expr_unsupported, "expr.unsupported", "a form of expression that the language does not have") \
    E(group_place, "group.place", "an aggregate where none can stand") \
    E(group_nested, "group.nested", "an aggregate inside an aggregate") \
    E(group_alias, "group.alias", "an alias of an aggregate in WHERE or GROUP BY") \
    E(group_bare, "group.bare", "a column beside aggregates that GROUP BY does not determine") \
    E(group_distinct, "group.distinct", "DISTINCT in an aggregate other than COUNT, MIN, MAX") \
    E(window_place, "window.place", "a window where none can stand") \
    E(window_form, "window.form", "a window function or frame that the language does not have") \
    E(subquery_place, "subquery.place", "a subquery where none can stand") \
    E(subquery_columns, "subquery.columns", "a subquery with the wrong number of columns") \
    E(subquery_rows, "subquery.rows", "a subquery used as a value that may give several rows") \
    E(subquery_correlated, "subquery.correlated", "a subquery that meets the enclosing query otherwise than by equalities") \
    E(subquery_form, "subquery.form", "a form of subquery that the language does not have") \
    E(note_natural, "note.natural", "note: the columns a NATURAL JOIN means") \
    E(note_group_alias, "note.group_alias", "note: GROUP BY takes an alias where other databases take the input column") \
    E(note_log, "note.log", "note: LOG is the natural logarithm") \
    E(note_int_division, "note.int_division", "note: / of integers that are aggregates or written out truncates")

#define ERRORS_PASS(E)                                                                             \
    E(grad_loss, "grad.loss", "a loss that is not one row with one REAL value")                    \
    E(grad_derived, "grad.derived", "a computed table among those to be differentiated")           \
    E(grad_no_value, "grad.no_value", "a table to be differentiated has no REAL column")           \
    E(grad_bag, "grad.bag", "a table to be differentiated has repeated keys")                      \
    E(grad_null_key, "grad.null_key", "a table to be differentiated has NULL in a key")            \
    E(grad_key, "grad.key", "grouping, DISTINCT or an equality join on a value that is differentiated")

#define ERRORS_EXEC(E)                                                                             \
    E(native_memory, "native.memory", "the native engine needs more memory than it may use")       \
    E(native_rows, "native.rows", "a join of more rows than the native engine can number")         \
    E(native_overflow, "native.overflow", "an INTEGER computation left the range of 64 bits")      \
    E(native_table, "native.table", "a table bound to the native engine lacks a column, or holds what cannot be a key") \
    E(native_stopped, "native.stopped", "a computation that was interrupted")                      \
    E(cc_missing, "cc.missing", "no C compiler: it is not there or cannot be started")             \
    E(cc_failed, "cc.failed", "the C compiler failed, or what it made cannot be loaded")           \
    E(cc_place, "cc.place", "no directory in which a C compiler could work: full, read-only, or open to others") \
    E(cc_keep, "cc.keep", "the file that the generated C is to be kept in cannot be written")      \
    E(sql_explain, "sql.explain", "loops were asked for of the SQL engine") \
    E(sql_overflow, "sql.overflow", "an INTEGER computation of the SQL engine left the range of 64 bits")

#define ERRORS_DB(E)                                                                               \
    E(db_open, "db.open", "a database that is not there, is no file, or is named wrongly")         \
    E(db_not_yet, "db.not_yet", "a kind of database that is not supported yet")                    \
    E(db_format, "db.format", "a file that is no SQLite database, or a damaged one")               \
    E(db_busy, "db.busy", "a database that another program has locked or left unfinished")         \
    E(db_env, "db.env", "the disk, the memory or a permission failed while a database was in use") \
    E(db_stopped, "db.stopped", "a database call that was interrupted")                            \
    E(db_sql, "db.sql", "the database refused a statement")                                        \
    E(db_table, "db.table", "a table that is not there, or cannot be read or written")             \
    E(db_exists, "db.exists", "a table that must not exist yet does")                              \
    E(db_value, "db.value", "a stored value that contradicts its column's type")                   \
    E(db_update, "db.update", "rows to update that do not meet the rows of the table one to one")  \
    E(db_packed, "db.packed", "packed data whose parts contradict each other")

#define ERRORS_DATA(E)                                                                             \
    E(data_option, "data.option", "options of import that do not go together")                     \
    E(data_file, "data.file", "a data file that cannot be read")                                   \
    E(data_size, "data.size", "a data file that is shorter or longer than it says, or too large")  \
    E(data_format, "data.format", "a data file that is not of the format it should be")            \
    E(data_match, "data.match", "files or tables of one import that do not fit together")          \
    E(data_csv, "data.csv", "a CSV file that breaks the rules: quoting, columns, bytes, numbers")

#define ERRORS_TRAIN(E)                                                                            \
    E(train_optimizer, "train.optimizer", "an unknown optimizer, or an argument it does not have") \
    E(train_lr, "train.lr", "a learning rate that is no number, or not finite")                    \
    E(train_init, "train.init", "an unknown init, or arguments it does not take")                  \
    E(train_rows, "train.rows", "a stored parameter's rows do not match its declaration")          \
    E(train_shape, "train.shape", "the CHECKs of a declared table give no bounds, or too many rows") \
    E(train_moving, "train.moving", "a data table that training cannot change: batches come from it, or it is the only copy") \
    E(train_batch, "train.batch", "batches cannot be drawn: no @data table, or batch keys that differ") \
    E(train_nonfinite, "train.nonfinite", "an infinity or NaN appeared")                           \
    E(train_loss, "train.loss", "the loss is NULL: no row reached it, or in SQL it is not a number")                             \
    E(train_locked, "train.locked", "another process trains with this state database")             \
    E(train_resume, "train.resume", "a run cannot be resumed with other options or another model") \
    E(train_state, "train.state", "the stored optimizer state does not fit the run")               \
    E(train_unfinished, "train.unfinished", "note: the state database holds an unfinished run")    \
    E(train_kept, "train.kept", "note: parameters found in the state database are kept")            \
    E(train_stopped, "train.stopped", "a run was interrupted, its state saved")                    \
    E(train_unreached, "train.unreached", "note: parameter rows from which no path leads to the loss") \
    E(train_drawn, "train.drawn", "note: parameters are not in the database, so they are new")

#define ERRORS_API(E)                                                                              \
    E(api_option, "api.option", "an unknown option, or one the command does not take")             \
    E(api_value, "api.value", "a value that an option cannot take")                                \
    E(api_missing, "api.missing", "an option or argument that the command needs")                  \
    E(api_file, "api.file", "the model file cannot be read")                                       \
    E(api_objectives, "api.objectives", "--loss or --wrt for a model with several objectives")           \
    E(api_target, "api.target", "nothing to show, no loss, or no table to differentiate by")       \
    E(api_bind, "api.bind", "a --bind or --eval-bind that names no table")                         \
    E(api_out, "api.out", "a table of --out that no earlier run wrote")                            \
    E(api_check, "api.check", "gradients and finite differences differ")                           \
    E(api_params, "api.params", "--params does not match the model's parameters")                  \
    E(api_not_yet, "api.not_yet", "something that a later release will do")

#define ERRORS_PLOT(E)                                                                             \
    E(plot_option, "plot.option", "an option of plot with a value it cannot take, or beside one it does not go with") \
    E(plot_data, "plot.data", "no history, run or name to draw, or a table that cannot be drawn so") \
    E(plot_file, "plot.file", "a picture that cannot be written, or does not fit in memory")       \
    E(plot_log, "plot.log", "note: values that a logarithmic axis cannot show")                    \
    E(plot_some, "plot.some", "note: not all images or labels are drawn")                          \
    E(graph_dot, "graph.dot", "Graphviz's dot, which draws what graph writes, is missing or failed")

#define ERRORS(E)                                                                                  \
    ERRORS_BASE(E) ERRORS_FRONT(E) ERRORS_QUERY(E) ERRORS_PASS(E) ERRORS_EXEC(E) ERRORS_DB(E) ERRORS_DATA(E)       \
    ERRORS_TRAIN(E) ERRORS_API(E) ERRORS_PLOT(E)

#define E(name, text, doc) extern const char ERR_##name[];
ERRORS(E)
#undef E

#endif
