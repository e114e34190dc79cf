/* SPDX-License-Identifier: Apache-2.0
 *
 * main.c - the command: arguments to options, events to stdout and stderr.  It knows the library by its public
 * header only; which options there are, and which command takes them, the library says. */
#include "sqlgrad.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

static sqlgrad *session;                /* for the signal handler */

typedef struct Screen { int progress; int broken; } Screen;  /* columns of a progress line shown; stdout is gone */

/* A second Ctrl-C ends the process at once, but not within a second: sudo, timeout and others send each signal twice. */
static void on_interrupt(int sig)
{
    static volatile sig_atomic_t asked;
    static time_t first;
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    if (!asked) {
        asked = 1;
        first = now.tv_sec;
        sqlgrad_interrupt(session);
    } else if (now.tv_sec > first + 1) {
        signal(sig, SIG_DFL);
        raise(sig);
    }
}

static void clear_progress(Screen *s)
{
    if (s->progress)
        fprintf(stderr, "\r%*s\r", s->progress, "");
    s->progress = 0;
}

/* A line that wraps cannot be rewritten. */
static int screen_width(void)
{
    struct winsize w;

    return ioctl(STDERR_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 1 ? w.ws_col : 80;
}

static void on_event(void *arg, int kind, const char *text)
{
    Screen *s = arg;

    if (kind == SQLGRAD_PROGRESS) {
        const int len = (int)strlen(text), most = screen_width() - 1, n = len < most ? len : most;
        fprintf(stderr, "\r%.*s%*s", n, text, s->progress > n ? s->progress - n : 0, "");
        s->progress = n;
        fflush(stderr);
        return;
    }
    clear_progress(s);
    if (kind == SQLGRAD_OUT) {
        s->broken |= puts(text) == EOF || fflush(stdout) == EOF;
        return;
    }
    fflush(stdout);
    fprintf(stderr, "%s\n", text);
}

static int usage(const char *what)
{
    const int ids = getenv("SQLGRAD_SHOW_IDS") != NULL;

    fprintf(stderr, "sqlgrad: error: %s%s%s%s\n", what, ids && session && *sqlgrad_errid(session) ? " [" : "",
            ids && session ? sqlgrad_errid(session) : "", ids && session && *sqlgrad_errid(session) ? "]" : "");
    return SQLGRAD_USAGE;
}

/* One argument that starts with a dash; *i moves past the value it takes. */
static int read_option(char **argv, int argc, int *i)
{
    const char *name = argv[*i] + 2, *value = strchr(name, '=');
    char left[64], what[160];

    if (argv[*i][1] != '-' || strlen(name) >= sizeof left) {
        snprintf(what, sizeof what, "no option %.64s; options start with two dashes", argv[*i]);
        return usage(what);
    }
    snprintf(left, sizeof left, "%.*s", value ? (int)(value - name) : (int)strlen(name), name);
    const int kind = sqlgrad_option_kind(left);
    if (value)
        value++;
    else if (kind == 'f')
        value = "1";
    else if (kind == 'v' && *i + 1 < argc)
        value = argv[++*i];
    else if (kind == 'v') {
        snprintf(what, sizeof what, "--%s wants a value", left);
        return usage(what);
    }
    return sqlgrad_set(session, left, value ? value : "1") == SQLGRAD_OK ? SQLGRAD_OK : usage(sqlgrad_errmsg(session));
}

static const struct { const char *name; int (*run)(sqlgrad *s, const char *model); } commands[] = {
    { "run", sqlgrad_run }, { "grad", sqlgrad_grad }, { "train", sqlgrad_train }, { "eval", sqlgrad_eval },
    { "emit", sqlgrad_emit }, { "explain", sqlgrad_explain }, { "check", sqlgrad_check }, { "graph", sqlgrad_graph },
};

static int run_command(const char *command, const char **word, int n)
{
    char what[300];

    if (!strcmp(command, "import"))
        return sqlgrad_import(session, n ? word[0] : NULL, word + 1, n - 1);
    if (!strcmp(command, "plot"))
        return sqlgrad_plot(session, word, n);
    for (size_t k = 0; k < sizeof commands / sizeof *commands; k++)
        if (!strcmp(command, commands[k].name)) {
            if (n <= 1)
                return commands[k].run(session, n ? word[0] : NULL);
            snprintf(what, sizeof what, "%s takes one model file, not also %.200s", command, word[1]);
            return usage(what);
        }
    snprintf(what, sizeof what, "no command \"%.100s\"; there are run, grad, train, eval, emit, explain, check, import, "
             "plot, graph", command);
    return usage(what);
}

/* Words that are no options are moved to the front of what was read already. */
static int parse_and_run(int argc, char **argv)
{
    const char **word = (const char **)argv + 2;
    int n = 0;

    for (int i = 2; i < argc; i++) {
        if (argv[i][0] != '-' || !argv[i][1]) {
            word[n++] = argv[i];
            continue;
        }
        const int rc = read_option(argv, argc, &i);
        if (rc != SQLGRAD_OK)
            return rc;
    }
    return run_command(argv[1], word, n);
}

/* --version, --list, help; -1: not one of them. */
static int print_about(int argc, char **argv)
{
    const char *text = NULL;

    if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "version")) {
        printf("sqlgrad %s\n", sqlgrad_version());
        return SQLGRAD_OK;
    }
    if (!strcmp(argv[1], "help") || !strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))
        text = sqlgrad_help(argc > 2 ? argv[2] : NULL);
    else if (!strcmp(argv[1], "--list"))
        text = argc > 2 ? sqlgrad_list(session, argv[2]) : NULL;
    else if (argc > 2 && !strcmp(argv[2], "--help"))
        text = sqlgrad_help(argv[1]);
    else
        return -1;
    if (!text)
        return usage(!strcmp(argv[1], "--list") ? "--list wants ops, aggs, joins or errors"
                                                : "no such command; try sqlgrad help");
    fputs(text, stdout);
    return SQLGRAD_OK;
}

/* What a drawing in characters may use; options that follow say otherwise. */
static void describe_terminal(void)
{
    static const char *const names[] = { "LC_ALL", "LC_CTYPE", "LANG" };
    const char *locale = NULL, *term = getenv("TERM");
    struct winsize w;
    char columns[16];

    for (int k = 0; k < 3 && (!locale || !*locale); k++)
        locale = getenv(names[k]);
    if (!locale || (!strstr(locale, "UTF-8") && !strstr(locale, "utf8") && !strstr(locale, "UTF8")))
        sqlgrad_set(session, "ascii", "1");
    if (!isatty(STDOUT_FILENO))
        return;
    if (!getenv("NO_COLOR") && term && strcmp(term, "dumb"))
        sqlgrad_set(session, "color", "1");
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 20) {
        snprintf(columns, sizeof columns, "%d", w.ws_col);
        sqlgrad_set(session, "columns", columns);
    }
}

static int start(int argc, char **argv, Screen *screen)
{
    if (argc < 2) {
        fputs(sqlgrad_help(NULL), stderr);
        return SQLGRAD_USAGE;
    }
    const int about = print_about(argc, argv);
    if (about >= 0)
        return about;
    sqlgrad_on_event(session, on_event, screen);
    if (getenv("SQLGRAD_SHOW_IDS"))
        sqlgrad_set(session, "show-ids", "1");
    if (!strcmp(argv[1], "train") && isatty(STDERR_FILENO))
        sqlgrad_set(session, "progress", "1");
    if (!strcmp(argv[1], "plot"))
        describe_terminal();
    signal(SIGINT, on_interrupt);
    signal(SIGTERM, on_interrupt);
    return parse_and_run(argc, argv);
}

int main(int argc, char **argv)
{
    Screen screen = { 0, 0 };

    session = sqlgrad_new();
    if (!session)
        return SQLGRAD_ENVIRONMENT;
    const int rc = start(argc, argv, &screen);
    clear_progress(&screen);
    sqlgrad_free(session);
    if (rc == SQLGRAD_OK && (screen.broken || fflush(stdout) == EOF)) {
        fprintf(stderr, "sqlgrad: error: the output cannot be written\n");
        return SQLGRAD_ENVIRONMENT;
    }
    return rc;
}
