/* SPDX-License-Identifier: Apache-2.0
 *
 * options.c - setting options, and the manual, from the list in options.h. */
#include "api/options.h"

#include <string.h>

const Option option_info[N_OPTIONS] = {
#define X(c, name, kind, arg, commands, help) [OPT_##c] = { name, kind, arg, commands, help },
    OPTIONS(X)
#undef X
};

const Command command_info[] = {
#define C(letter, name, arg, help) { letter, #name, arg, help },
    COMMANDS(C)
#undef C
};
const int n_commands = COUNT_OF(command_info);

int option_find(const char *name)
{
    for (int k = 0; k < N_OPTIONS; k++)
        if (!strcmp(option_info[k].name, name))
            return k;
    return -1;
}

const Command *command_find(const char *name)
{
    for (int k = 0; k < n_commands; k++)
        if (!strcmp(command_info[k].name, name))
            return &command_info[k];
    return NULL;
}

static Code unknown_option(const char *name, Err *e)
{
    const char *names[N_OPTIONS];

    for (int k = 0; k < N_OPTIONS; k++)
        names[k] = option_info[k].name;
    const char *near = nearest_name(name, names, N_OPTIONS);
    return err_set(e, E_USAGE, ERR_api_option, near ? "no option --%s; did you mean --%s?" : "no option --%s", name, near);
}

static Code check_value(const Option *o, const char *v, Err *e)
{
    const size_t n = strlen(v);
    int64_t i;
    double r;

    if (o->kind == 'i' && !(parse_int(v, n, &i) && i >= 0))
        return err_set(e, E_USAGE, ERR_api_value, "--%s wants a whole number, not \"%s\"", o->name, v);
    if (o->kind == 'p' && !(parse_int(v, n, &i) && i > 0))
        return err_set(e, E_USAGE, ERR_api_value, "--%s wants a whole number above 0, not \"%s\"", o->name, v);
    if (o->kind == 'n' && !(parse_real(v, n, &r) && r >= 0 && r < 1e300))
        return err_set(e, E_USAGE, ERR_api_value, "--%s wants a number that is not negative, not \"%s\"", o->name, v);
    if (o->kind == 'f' && strcmp(v, "0") && strcmp(v, "1"))
        return err_set(e, E_USAGE, ERR_api_value, "--%s is a flag; its value is 1 or 0, not \"%s\"", o->name, v);
    if (!n)
        return err_set(e, E_USAGE, ERR_api_value, "--%s is empty", o->name);
    return OK;
}

Code option_set(Options *o, const char *name, const char *value, Err *e)
{
    const int k = option_find(name);
    Buf b = { 0 };

    if (k < 0)
        return unknown_option(name, e);
    if (value && check_value(&option_info[k], value, e) != OK)
        return e->code;
    if (value && option_info[k].kind == 'l' && o->val[k])
        buf_printf(&b, "%s,", o->val[k]);
    mem_free(o->val[k]);
    o->val[k] = NULL;
    if (value) {
        buf_puts(&b, value);
        o->val[k] = b.s;
    }
    return OK;
}

void options_free(Options *o)
{
    for (int k = 0; k < N_OPTIONS; k++)
        mem_free(o->val[k]);
    *o = (Options){ 0 };
}

void options_copy(Options *to, const Options *from)
{
    for (int k = 0; k < N_OPTIONS; k++)
        if (from->val[k]) {
            const size_t n = strlen(from->val[k]) + 1;
            to->val[k] = memcpy(mem_alloc(n), from->val[k], n);
        }
}

Code options_check(const Options *o, const Command *cmd, Err *e)
{
    for (int k = 0; k < N_OPTIONS; k++)
        if (o->val[k] && !strchr(option_info[k].commands, cmd->letter))
            return err_set(e, E_USAGE, ERR_api_option, "%s takes no --%s", cmd->name, option_info[k].name);
    return OK;
}

const char *opt_text(const Options *o, OptId k, const char *otherwise)
{
    return o->val[k] ? o->val[k] : otherwise;
}

int64_t opt_int(const Options *o, OptId k, int64_t otherwise)
{
    int64_t i;

    return o->val[k] && parse_int(o->val[k], strlen(o->val[k]), &i) ? i : otherwise;
}

double opt_real(const Options *o, OptId k, double otherwise)
{
    double r;

    return o->val[k] && parse_real(o->val[k], strlen(o->val[k]), &r) ? r : otherwise;
}

bool opt_flag(const Options *o, OptId k)
{
    return o->val[k] && !strcmp(o->val[k], "1");
}

/* ---- the manual ---- */

/* What the list of options does not say; in the order of COMMANDS. */
static const char *const manual[] = {
    "Prints the @loss and @metric tables, or the last table of the model; --show prints others, and then only what they\n"
    "need must be in the database: `--show prediction` needs no labels.  --out writes every derived table instead.\n"
    "Parameters come from the state database; those it lacks are drawn from the seed, for this run only.\n\n"
    "  sqlgrad run model.sql --db data.db --show prediction --state trained.db\n",
    "The loss, and for each table T of --wrt a table grad_T: T's columns, the gradient in each value column, a row for\n"
    "each row of T.  T may be a parameter or a table of the data.\n\n"
    "  sqlgrad grad model.sql --db data.db --loss loss --wrt weight,bias --out grads.db\n",
    "Needs --epochs or --steps.  Parameters that the state database holds are where it starts; --fresh draws new ones.\n"
    "Ctrl-C saves the state and ends with status 130; --resume goes on from there, or from the last checkpoint if the\n"
    "process was killed, with the options of that run (only --epochs, --steps, --eval-every, --checkpoint-every, --threads\n"
    "and what is printed may differ) and to the same bits as a run that was never stopped.  doc/state.md describes the\n"
    "tables it writes, doc/optimizers.md the optimizers.\n\n"
    "  sqlgrad train model.sql --db data.db --state trained.db --epochs 5 --batch 100 --optimizer adam --lr 1e-3 \\\n"
    "          --eval-bind samples=test_samples,labels=test_labels --keep best:accuracy\n",
    "As run, with the tables that -- @eval defines in place of those of -- @train.\n\n"
    "  sqlgrad eval model.sql --db data.db --state trained.db --bind samples=test_samples,labels=test_labels\n",
    "A script for the database's own shell: the model (--what forward, which is also the default), the model and its\n"
    "gradients (grad), or a training step, to be run as often as wanted (step).  doc/tour.md shows one.\n\n"
    "  sqlgrad emit model.sql --db data.db --what step --dialect sqlite > step.sql; sqlite3 data.db < step.sql\n",
    "The program as SQL: bind, every name resolved (the default); grad, with its gradients; opt, after all passes;\n"
    "sql, the statements for SQLite.\n\n"
    "  sqlgrad explain model.sql --db data.db --stage grad\n",
    "Each gradient against central differences of the loss, in double precision: all values of a table up to 200, else\n"
    "200 of them and one direction.  Status 1 if one differs.\n\n"
    "  sqlgrad check model.sql --db data.db\n",
    "idx: images and labels of MNIST's format; cifar10: its binary files; image: a picture a file, PNG, PBM, PGM or PPM;\n"
    "text: a row (pos, code, ch) a character; csv: a file with a header; npy: an array, a key column a dimension.  Any of them\n"
    "may be gzipped.  Images become a table (image, r, c, val), with a channel before r but for idx; labels (image, label), of\n"
    "pictures (image, label, file): the folder and the path.  The labels of a text are its alphabet (code, ch).\n\n"
    "  sqlgrad import idx images.gz labels.gz --db data.db --table samples --labels labels --as 'val/255.0'\n"
    "  sqlgrad import image photos/*/*.png --db data.db --table samples --labels labels --channels 3 --as 'val/255.0'\n"
    "  sqlgrad import text book.txt --db data.db --table text --labels letters\n"
    "  sqlgrad import csv points.csv --db data.db --table points\n",
    "Without --table: the loss and the metrics of sqlgrad_history, a panel a name, a curve a run and a set of data.\n"
    "Without --out they are drawn in the terminal, else as SVG.\n\n"
    "  sqlgrad plot trained.db\n"
    "  sqlgrad plot a.db b.db --show loss,accuracy --smooth 0.9 --log --out curves.svg\n"
    "  sqlgrad plot trained.db --run all --x epoch --title 'Learning rates' --out curves.svg\n\n"
    "With --table: a table with the keys r and c, or those that --axes names, and one value is drawn as images on a sheet,\n"
    "one for each combination of the other keys; with a channel of three places in colours (PNG, PPM, PGM).  A table with\n"
    "the values x and y is drawn as a cloud of points in the colours of its label (SVG).\n\n"
    "  sqlgrad plot --db data.db --table samples --where 'image < 16' --out samples.png\n"
    "  sqlgrad plot --db trained.db --table conv1_weight --axes r,c,in_channel --scale 8 --out filters.png\n"
    "  sqlgrad plot --db out.db --table attention --axes q,k --value p --colors heat --scale 6 --out attention.png\n"
    "  sqlgrad plot --db out.db --table embedding --axes x,y,word --out words.svg\n",
    "Tables in red are data, in blue parameters, in boxes what the model computes; a thick frame is the loss, a dashed one a\n"
    "metric.  With --db the model is evaluated once, on its first batch, and each table says how large it is.  --what grad\n"
    "adds the gradients.  Without --out the picture is printed in the language of Graphviz, whose dot draws the others.\n\n"
    "  sqlgrad graph model.sql --db data.db --out model.svg\n"
    "  sqlgrad graph model.sql --db data.db --batch 32 --time --what grad --out model.png\n"
    "  sqlgrad graph model.sql > model.dot\n",
};

_Static_assert(COUNT_OF(manual) == COUNT_OF(command_info), "a manual text for each command");

static void help_command(Buf *b, const Command *cmd)
{
    buf_printf(b, "sqlgrad %s %s [options]\n  %s\n\n%s\n", cmd->name, cmd->arg, cmd->help, manual[cmd - command_info]);
    for (int k = 0; k < N_OPTIONS; k++) {
        const Option *o = &option_info[k];
        char left[48];
        if (!strchr(o->commands, cmd->letter) || k == OPT_progress || k == OPT_color || k == OPT_show_ids)
            continue;
        snprintf(left, sizeof left, "--%s %s", o->name, o->arg);
        buf_printf(b, "  %-28s %s\n", left, o->help);
    }
}

static void help_all(Buf *b)
{
    buf_puts(b, "sqlgrad: deep learning from plain SQL\n\n");
    for (int k = 0; k < n_commands; k++)
        buf_printf(b, "  sqlgrad %-8s %-15s %s\n", command_info[k].name, command_info[k].arg, command_info[k].help);
    buf_puts(b, "\n  sqlgrad help COMMAND     its options\n"
                "  sqlgrad --version\n"
                "  sqlgrad --list ops|aggs|joins|errors\n\n"
                "Exit status: 0 success, 1 the input is wrong, 2 wrong usage, 3 the environment failed,\n"
                "130 interrupted, state saved.\n");
}

const char *help_text(const char *command)
{
    static char text[COUNT_OF(command_info) + 1][8000];     /* filled with the same bytes whoever comes first */
    const Command *cmd = command ? command_find(command) : NULL;
    Buf b = { 0 };

    if (command && !cmd)
        return NULL;
    if (cmd)
        help_command(&b, cmd);
    else
        help_all(&b);
    char *s = text[cmd ? cmd - command_info + 1 : 0];
    snprintf(s, sizeof text[0], "%s", b.s);
    buf_free(&b);
    return s;
}
