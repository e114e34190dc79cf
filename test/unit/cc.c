/* SPDX-License-Identifier: Apache-2.0
 *
 * Compiling and loading: what the cache finds and what it must not believe, compilers that are missing, fail, hang
 * or are killed, and that nothing is left behind.  Compilers that misbehave are shell scripts round the real one. */
#include "unit.h"

#include "exec/cc.h"
#include "exec/cc_store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char add_text[] = "double add(double x, double y) { return x + y; }\n";
static char root[] = "/tmp/sqlgrad-unit-XXXXXX";
static char cache[64], tmp[64];         /* directories in root */
static volatile int stopping;

/* ---- files ---- */

static const char *in_root(const char *name)
{
    static char path[200];

    snprintf(path, sizeof path, "%s/%s", root, name);
    return path;
}

static void put_file(const char *path, const char *text, mode_t mode)
{
    FILE *f = fopen(path, "w");

    CHECK(f && fputs(text, f) >= 0 && fclose(f) == 0 && chmod(path, mode) == 0);
}

/* Names in a directory with this beginning; the last one in `found`. */
static int count_files(const char *dir, const char *begin, char *found, size_t n)
{
    DIR *d = opendir(dir);
    int count = 0;

    for (struct dirent *f; d && (f = readdir(d)) != NULL;)
        if (*f->d_name != '.' && !strncmp(f->d_name, begin, strlen(begin))) {
            count++;
            if (found)
                snprintf(found, n, "%.60s/%.120s", dir, f->d_name);
        }
    if (d)
        closedir(d);
    return count;
}

/* An empty cache, an empty directory for temporary files, the usual compiler. */
static void fresh_start(void)
{
    char command[100];

    snprintf(command, sizeof command, "rm -rf %s/*", root);
    CHECK(system(command) == 0);
    CHECK(mkdir(tmp, 0700) == 0);
    setenv("SQLGRAD_CACHE", cache, 1);
    setenv("TMPDIR", tmp, 1);
    unsetenv("SQLGRAD_CC");
    stopping = 0;
}

/* The real compiler inside a script. */
static void use_script(const char *body)
{
    char text[600];

    snprintf(text, sizeof text, "#!/bin/sh\n%s\nexec cc \"$@\"\n", body);
    put_file(in_root("script"), text, 0700);
    setenv("SQLGRAD_CC", in_root("script"), 1);
}

static void check_clean(int entries)
{
    CHECK_INT(count_files(tmp, "", NULL, 0), 0);
    CHECK_INT(count_files(cache, "", NULL, 0), entries);
}

/* ---- loading ---- */

static Code load_text(CcLib *lib, const char *text, const CcOpts *o, Err *e)
{
    const CcOpts usual = { .stop = &stopping };

    *e = (Err){ 0 };
    return cc_load(lib, text, o ? o : &usual, e);
}

/* The sum of 2 and 3 by a library; -1 if it has no `add`. */
static double call_add(const CcLib *lib)
{
    double (*add)(double, double);
    void *p = cc_symbol(lib, "add");

    memcpy(&add, &p, sizeof add);
    return p ? add(2, 3) : -1;
}

/* Load, call, close: 1 if it came from the cache, 0 if it was compiled, -1 if it failed. */
static int try_add(const CcOpts *o)
{
    CcLib lib;
    Err e;

    if (load_text(&lib, add_text, o, &e) != OK) {
        CHECK_STR(e.msg, "");
        return -1;
    }
    CHECK(call_add(&lib) == 5 && lib.seconds >= 0);
    CHECK(cc_symbol(&lib, "subtract") == NULL);
    const int cached = lib.cached;
    cc_close(&lib);
    CHECK(cc_symbol(&lib, "add") == NULL);
    return cached;
}

static void fails_with(const char *text, Code code, const char *id, const char *part)
{
    CcLib lib;
    Err e;

    CHECK_INT(load_text(&lib, text, NULL, &e), code);
    CHECK_STR(e.id, id);
    if (!strstr(e.msg, part))
        CHECK_STR(e.msg, part);
    CHECK(lib.handle == NULL);
}

static void compiles_and_finds(void)
{
    char entry[200];
    struct stat st;

    fresh_start();
    CHECK_INT(try_add(NULL), 0);
    CHECK_INT(try_add(NULL), 1);
    CHECK_INT(try_add(&(CcOpts){ .no_cache = true }), 0);
    check_clean(1);
    CHECK_INT(count_files(cache, "", entry, sizeof entry), 1);
    CHECK(stat(entry, &st) == 0 && (st.st_mode & 07777) == 0600);
    CHECK(stat(cache, &st) == 0 && (st.st_mode & 07777) == 0700);
    setenv("SQLGRAD_CC", "cc -DOTHER", 1);      /* another command, another key */
    CHECK_INT(try_add(NULL), 0);
    CHECK_INT(try_add(NULL), 1);
    check_clean(2);
}

static void other_caches(void)
{
    fresh_start();
    unsetenv("SQLGRAD_CACHE");
    setenv("XDG_CACHE_HOME", in_root("xdg/deep"), 1);
    CHECK_INT(try_add(NULL), 0);
    CHECK_INT(count_files(in_root("xdg/deep/sqlgrad"), "", NULL, 0), 1);
    setenv("XDG_CACHE_HOME", "relative", 1);
    setenv("HOME", root, 1);
    CHECK_INT(try_add(NULL), 0);
    CHECK_INT(count_files(in_root(".cache/sqlgrad"), "", NULL, 0), 1);
    CHECK_INT(try_add(NULL), 1);
    setenv("HOME", in_root("nobody"), 1);
    CHECK_INT(try_add(NULL), 0);
    CHECK(access(in_root("nobody"), F_OK) != 0);
    unsetenv("HOME");
    CHECK_INT(try_add(NULL), 0);
    CHECK_INT(count_files(tmp, "", NULL, 0), 0);
    unsetenv("XDG_CACHE_HOME");
}

/* What is wrong with the entry each time; afterwards it is found again. */
static void damage(const char *entry, const char *command)
{
    char line[700];

    CHECK_INT(try_add(NULL), 1);
    snprintf(line, sizeof line, "e=%s; %s", entry, command);
    CHECK(system(line) == 0);
    CHECK_INT(try_add(NULL), 0);
    CHECK_INT(try_add(NULL), 1);
}

static void damaged_entries(void)
{
    char entry[200], other[200];

    fresh_start();
    CHECK_INT(try_add(NULL), 0);
    CHECK_INT(count_files(cache, "", entry, sizeof entry), 1);
    damage(entry, ": > $e");
    damage(entry, "truncate -s 100 $e");
    damage(entry, "truncate -s -1 $e");
    damage(entry, "head -c 5000 /dev/zero > $e; chmod 600 $e");
    damage(entry, "printf X | dd of=$e bs=1 seek=700 conv=notrunc 2>/dev/null");
    damage(entry, "chmod 666 $e");
    damage(entry, "rm $e; mkfifo -m 600 $e");
    snprintf(other, sizeof other, "mv $e %s/moved; ln -s %s/moved $e", root, root);
    damage(entry, other);
    /* The whole and sound library of another text. */
    CcLib lib;
    Err e;
    CHECK_INT(load_text(&lib, "double add(double x, double y) { return x - y; }\n", NULL, &e), OK);
    cc_close(&lib);
    CHECK(system("cd $SQLGRAD_CACHE && for a in *.so; do for b in *.so; do [ $a = $b ] || cp $a ../$b; done; done && "
                 "mv ../*.so .") == 0);
    CHECK_INT(try_add(NULL), 0);
}

static void unusable_caches(void)
{
    fresh_start();
    CHECK(mkdir(cache, 0700) == 0 && chmod(cache, 0777) == 0);       /* anybody could put a library there */
    CHECK_INT(try_add(NULL), 0);
    CHECK_INT(try_add(NULL), 0);
    check_clean(0);
    put_file(in_root("file"), "", 0600);
    setenv("SQLGRAD_CACHE", in_root("file"), 1);
    CHECK_INT(try_add(NULL), 0);
    setenv("SQLGRAD_CACHE", "/proc/sqlgrad/cache", 1);
    CHECK_INT(try_add(NULL), 0);
    CHECK(chmod(tmp, 0777) == 0);               /* somebody could exchange our directory: /tmp it is */
    CHECK_INT(try_add(NULL), 0);
    setenv("TMPDIR", "/nonexistent", 1);
    CHECK_INT(try_add(NULL), 0);
    check_clean(0);
}

/* A note is found again, or there is none: whatever befell the file. */
static void notes(void)
{
    char note[8], entry[200], line[300];

    fresh_start();
    CHECK(!cc_recall("text", note, sizeof note));
    cc_remember("text", "3 words");
    cc_remember("other", "1");
    CHECK(cc_recall("text", note, sizeof note) && !strcmp(note, "3 words"));
    CHECK(!cc_recall("text", note, sizeof note - 1) && !*note);
    cc_remember("text", "2");
    CHECK(cc_recall("text", note, sizeof note) && !strcmp(note, "2"));
    check_clean(2);
    CHECK(system("rm $SQLGRAD_CACHE/*") == 0);
    static const char *const harm[] = { ": > $e", "truncate -s 20 $e", "truncate -s -1 $e", "printf 4 | dd of=$e bs=1 conv=notrunc "
                                        "2>/dev/null", "chmod 666 $e", "rm $e; mkfifo -m 600 $e" };
    for (size_t k = 0; k < COUNT_OF(harm); k++) {
        cc_remember("text", "2");
        CHECK(cc_recall("text", note, sizeof note));
        CHECK_INT(count_files(cache, "", entry, sizeof entry), 1);
        snprintf(line, sizeof line, "e=%s; %s", entry, harm[k]);
        CHECK(system(line) == 0);
        CHECK(!cc_recall("text", note, sizeof note));
        CHECK(system("rm -f $SQLGRAD_CACHE/*") == 0);
    }
    setenv("SQLGRAD_CACHE", "/proc/sqlgrad/cache", 1);
    cc_remember("text", "2");
    CHECK(!cc_recall("text", note, sizeof note));
    setenv("SQLGRAD_CC", "/nonexistent", 1);
    cc_remember("text", "2");
    CHECK(!cc_recall("text", note, sizeof note));
    fresh_start();
}

static void add_in_child(int times)
{
    for (int k = 0; k < times; k++) {
        CcLib lib;
        Err e = { 0 };
        if (cc_load(&lib, add_text, &(CcOpts){ 0 }, &e) != OK || call_add(&lib) != 5)
            _exit(1);
        cc_close(&lib);
    }
    _exit(0);
}

static void several_processes(void)
{
    int status, bad = 0;

    fresh_start();
    for (int k = 0; k < 4; k++)
        if (fork() == 0)
            add_in_child(3);
    for (int k = 0; k < 4; k++)
        bad += wait(&status) < 0 || status;
    CHECK_INT(bad, 0);
    CHECK_INT(try_add(NULL), 1);
    check_clean(1);
}

/* ---- compilers that do not do ---- */

static void missing_compilers(void)
{
    fresh_start();
    setenv("SQLGRAD_CC", "/nonexistent -O9", 1);
    fails_with(add_text, E_ENV, ERR_cc_missing, "there is no C compiler \"/nonexistent\"");
    setenv("SQLGRAD_CC", "no-such-compiler", 1);
    fails_with(add_text, E_ENV, ERR_cc_missing, "there is no C compiler \"no-such-compiler\"");
    put_file(in_root("text"), "no program\n", 0700);
    setenv("SQLGRAD_CC", in_root("text"), 1);
    fails_with(add_text, E_ENV, ERR_cc_missing, "cannot be started: Exec format error");
    setenv("SQLGRAD_CC", " \t", 1);             /* as if not set */
    CHECK_INT(try_add(NULL), 0);
    check_clean(1);
}

static void failing_compilers(void)
{
    fresh_start();
    fails_with("int f(void) { return missing; }\n", E_ENV, ERR_cc_failed, "failed with status 1: n.c:");
    fails_with("int f(void) { return missing; }\n", E_ENV, ERR_cc_failed, " n.c:1:22: error: ");
    setenv("SQLGRAD_CC", "true", 1);
    fails_with(add_text, E_ENV, ERR_cc_failed, "\" made nothing");
    use_script("kill -SEGV $$");
    fails_with(add_text, E_ENV, ERR_cc_failed, "was ended by signal 11");
    use_script("while [ \"$1\" != -o ]; do shift; done; echo no library > $2; exit 0");
    fails_with(add_text, E_ENV, ERR_cc_failed, "what the C compiler made cannot be loaded: ");
    use_script("printf '1\\n\\033\\n3\\n4\\n5\\n6\\n' >&2; exit 7");
    fails_with(add_text, E_ENV, ERR_cc_failed, "failed with status 7: 1\n     \n    3\n    4");
    unsetenv("SQLGRAD_CC");
    fails_with("double undefined_anywhere(void); double f(void) { return undefined_anywhere(); }\n", E_ENV,
               ERR_cc_failed, "undefined_anywhere");
    check_clean(0);
}

static void no_native_tuning(void)
{
    fresh_start();
    use_script("for a; do [ $a != -march=native ] || { echo \"bad value (native) for -march=\" >&2; exit 1; }; done");
    CHECK_INT(try_add(NULL), 0);
    CHECK_INT(try_add(NULL), 1);
    check_clean(1);
}

static void upgraded_compiler(void)
{
    fresh_start();
    use_script("# version 1");
    CHECK_INT(try_add(NULL), 0);
    CHECK_INT(try_add(NULL), 1);
    use_script("# version 1.1");
    CHECK_INT(try_add(NULL), 0);
}

static void stop_soon(int sig)
{
    (void)sig;
    stopping = 1;
}

/* SIGALRM after some milliseconds. */
static void alarm_in(int ms)
{
    const struct itimerval in = { .it_value = { .tv_usec = 1000 * ms } };

    signal(SIGALRM, stop_soon);
    setitimer(ITIMER_REAL, &in, NULL);
}

/* The script says who it is, so that the test can see that it is gone. */
static bool script_lives(void)
{
    FILE *f = fopen(in_root("pid"), "r");
    int pid = 0;

    CHECK(f && fscanf(f, "%d", &pid) == 1);
    if (f)
        fclose(f);
    return pid > 1 && kill(pid, 0) == 0;
}

static void hanging_compiler(void)
{
    const time_t began = time(NULL);

    fresh_start();
    use_script("echo $$ > $SQLGRAD_CACHE/../pid; sleep 60");
    alarm_in(200);
    fails_with(add_text, E_STOPPED, ERR_native_stopped, "interrupted");
    CHECK(time(NULL) - began < 20);
    CHECK(!script_lives());
    check_clean(0);
    fails_with(add_text, E_STOPPED, ERR_native_stopped, "interrupted");     /* not even started */
}

/* A process that is killed leaves its directory; whoever comes next removes it, but not that of a living one. */
static void killed_process(void)
{
    char left[200], pid_path[200];

    fresh_start();
    snprintf(pid_path, sizeof pid_path, "%s", in_root("pid"));
    use_script("case $* in *-DHANG*) echo $$ > $SQLGRAD_CACHE/../pid; exec sleep 60;; esac");
    char command[300];
    snprintf(command, sizeof command, "%s -DHANG", in_root("script"));
    setenv("SQLGRAD_CC", command, 1);
    const pid_t child = fork();
    if (child == 0)
        add_in_child(1);
    for (int k = 0; k < 1000 && access(pid_path, R_OK) != 0; k++)
        nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
    unsetenv("SQLGRAD_CC");
    CHECK_INT(try_add(NULL), 0);
    CHECK_INT(count_files(cache, "sqlgrad-work-", left, sizeof left), 1);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    CHECK(script_lives());
    CHECK(system("kill -9 $(cat $SQLGRAD_CACHE/../pid)") == 0);
    CHECK_INT(try_add(NULL), 1);
    check_clean(1);
}

/* A host that does not want to hear of its children. */
static void children_ignored(void)
{
    fresh_start();
    signal(SIGCHLD, SIG_IGN);
    CHECK_INT(try_add(NULL), 0);
    CHECK_INT(try_add(NULL), 1);
    fails_with("nonsense\n", E_ENV, ERR_cc_failed, "made nothing: n.c:1:1: error");
    signal(SIGCHLD, SIG_DFL);
    check_clean(1);
}

/* ---- the bound, the kept text, the digest ---- */

static void bounded_cache(void)
{
    fresh_start();
    CHECK_INT(try_add(NULL), 0);
    CHECK(system("cd $SQLGRAD_CACHE && seq -f a%063.0f.so 2020 | xargs touch -d 2001-02-03 && touch note.so") == 0);
    CHECK_INT(count_files(cache, "", NULL, 0), 2022);
    CHECK_INT(try_add(NULL), 1);
    setenv("SQLGRAD_CC", "cc -DOTHER", 1);
    CHECK_INT(try_add(NULL), 0);
    CHECK_INT(count_files(cache, "", NULL, 0), 2001);       /* 2000, and a file that is none of ours */
    CHECK_INT(try_add(NULL), 1);
    unsetenv("SQLGRAD_CC");
    CHECK_INT(try_add(NULL), 1);
    CHECK(system("cd $SQLGRAD_CACHE && rm a*.so && for k in 1 2 3 4 5; do n=$(printf b%063d.so $k); "
                 "truncate -s 63M $n; touch -d 2001-02-0$k $n; done") == 0);
    setenv("SQLGRAD_CC", "cc -DTHIRD", 1);
    CHECK_INT(try_add(NULL), 0);
    CHECK_INT(count_files(cache, "b", NULL, 0), 4);
    CHECK_INT(count_files(cache, "", NULL, 0), 8);
}

static void kept_text(void)
{
    char path[200], text[1200], want[600];

    fresh_start();
    snprintf(path, sizeof path, "%s", in_root("kept.c"));
    setenv("SQLGRAD_CC", "cc -DCOMMENT=*/", 1);
    CHECK_INT(try_add(&(CcOpts){ .keep = path }), 0);
    file_head(AT_FDCWD, path, text, sizeof text);
    snprintf(want, sizeof want, "#ifndef PART\n#define PART 1\n#endif\n\n#if PART == 1\n/* -DPART=1: cc -DCOMMENT=* / -march=native -O2 -std=gnu11 -fno-math-errno -fno-trapping-math "
             "-ffp-contract=fast --param=avoid-fma-max-bits=0 -shared -fPIC -w -o n.so %s -lm */\n%s#endif\n", path, add_text);
    CHECK_STR(text, want);
    setenv("SQLGRAD_CC", "/nonexistent", 1);        /* added to the file although nothing comes of it */
    CcLib lib;
    Err e;
    CHECK_INT(load_text(&lib, "int n;\n", &(CcOpts){ .keep = path }, &e), E_ENV);
    CHECK_STR(e.id, ERR_cc_missing);
    file_head(AT_FDCWD, path, text, sizeof text);
    CHECK(!strncmp(text, want, strlen(want)));
    CHECK(strstr(text, "\n#if PART == 2\n/* -DPART=2: /nonexistent -march") && strstr(text, " */\nint n;\n#endif\n"));
    CHECK_INT(load_text(&lib, add_text, &(CcOpts){ .keep = "/nonexistent/n.c" }, &e), E_ENV);
    CHECK_STR(e.id, ERR_cc_keep);
    CHECK_STR(e.msg, "/nonexistent/n.c cannot be written: No such file or directory");
}

/* BLAKE2b with 32 bytes: hashlib.blake2b(…, digest_size=32) of Python. */
static void digests(void)
{
    static const struct { size_t n; const char *hex; } known[] = {
        { 0, "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8" },
        { 3, "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319" },
        { 128, "362f4baa8a41484b362c7dee9605b22c9ef18b4930abb85348fa54a43cfa19a9" }, { 129, "43e7c863a2faa256b007de3e4a92d9251b087024733014163b13a34b9bcbadb7" }, { 300, "cbe4fb45eaa1271f2e1ec4d4f3c67345838a45d2b3f2af2da64c7b8a55c7d4df" },
    };
    char text[300];

    for (size_t k = 0; k < sizeof text; k++)
        text[k] = (char)('a' + k % 26);
    for (size_t k = 0; k < COUNT_OF(known); k++) {
        uint8_t sum[DIGEST_BYTES];
        char hex[2 * DIGEST_BYTES + 1];
        Digest d;
        digest_start(&d);
        digest_add(&d, text, known[k].n / 3);
        digest_add(&d, text + known[k].n / 3, known[k].n - known[k].n / 3);
        digest_end(&d, sum);
        for (int i = 0; i < DIGEST_BYTES; i++)
            snprintf(hex + 2 * i, 3, "%02x", sum[i]);
        CHECK_STR(hex, known[k].hex);
    }
}

static const UnitTest tests[] = {
    { "digests", digests }, { "compile, call, find again", compiles_and_finds }, { "where the cache is", other_caches },
    { "damaged cache entries", damaged_entries }, { "unusable caches", unusable_caches },
    { "notes", notes }, { "several processes at once", several_processes }, { "missing compilers", missing_compilers },
    { "failing compilers", failing_compilers }, { "a compiler without -march=native", no_native_tuning },
    { "an upgraded compiler", upgraded_compiler }, { "a hanging compiler", hanging_compiler },
    { "a killed process", killed_process }, { "SIGCHLD ignored", children_ignored },
    { "the cache is bounded", bounded_cache }, { "the text is kept", kept_text },
};

int main(void)
{
    char command[60];

    if (!mkdtemp(root))
        return 1;
    snprintf(cache, sizeof cache, "%s/cache", root);
    snprintf(tmp, sizeof tmp, "%s/tmp", root);
    const int failed = unit_main(tests, COUNT_OF(tests));
    snprintf(command, sizeof command, "rm -rf %s", root);
    return system(command) == 0 ? failed : 1;
}
