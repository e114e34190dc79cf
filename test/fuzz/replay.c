/* SPDX-License-Identifier: Apache-2.0
 *
 * replay.c - a main that feeds files to a harness, for builds without libFuzzer.  Ends with status 0 if
 * every file went through; a fault ends the program by itself. */
#include "fuzz.h"

static int replay_file(const char *path)
{
    Buf b = { 0 };
    char part[4096];
    size_t n;
    FILE *f = fopen(path, "rb");

    if (!f) {
        fprintf(stderr, "cannot read %s\n", path);
        return 1;
    }
    while ((n = fread(part, 1, sizeof part, f)) > 0)
        buf_add(&b, part, n);
    fclose(f);
    /* A block of exactly the input's size, so that reading one byte further is seen. */
    uint8_t *exact = mem_alloc(b.n);
    for (size_t i = 0; i < b.n; i++)
        exact[i] = (uint8_t)b.s[i];
    LLVMFuzzerTestOneInput(exact, b.n);
    mem_free(exact);
    buf_free(&b);
    return 0;
}

int main(int argc, char **argv)
{
    int failed = 0;

    for (int i = 1; i < argc; i++)
        failed |= replay_file(argv[i]);
    printf("%d inputs replayed\n", argc - 1);
    return failed;
}
