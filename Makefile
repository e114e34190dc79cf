# SPDX-License-Identifier: Apache-2.0
#
# The whole build; no configure step.  Sources are found, not listed: src/cli/*.c make the command,
# every other src/*/*.c goes into the libraries.
#
#   make            ./sqlgrad  libsqlgrad.a  libsqlgrad.so
#   make test       everything a newcomer should run; installs what it needs (Debian, root or sudo)
#   make demo       Fashion-MNIST end to end; installs what it needs
#   make check      the inner loop, under a minute
#   make asan       the cases once more under the address and undefined-behaviour sanitizers
#   make debug      build/debug/sqlgrad: -O0, the verifier after every pass
#   make fuzz SECONDS=60      coverage-guided fuzzing (clang)
#   make bench      measure beside PyTorch; NAMES="lenet gcn" for some workloads (bench/README.md)
#   make style      layers, forbidden calls, the longest functions
#   make rewrite    write what the cases print now into test/cases; read the diff before committing it
#   make install PREFIX=/usr/local DESTDIR=
#
# CC, CFLAGS, LDFLAGS, PREFIX, V=1 (show commands) may be set on the command line; changing CC or the
# flags rebuilds.

VERSION   := 0.1.0
SOVERSION := 0

PREFIX     ?= /usr/local
BINDIR     ?= $(PREFIX)/bin
LIBDIR     ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include

BUILD   ?= build
CFLAGS  ?= -O2 -g
WARN    := -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion -Wswitch-enum -Werror
ALL_CFLAGS = -std=c11 -D_DEFAULT_SOURCE -D_POSIX_C_SOURCE=200809L -DSQLGRAD_VERSION='"$(VERSION)"' \
             -Isrc -Iinclude $(WARN) -fPIC -fvisibility=hidden $(CFLAGS) $(MODE)
LIBS    := -lpg_query -lprotobuf-c -lsqlite3 -lpng -lz -lisl -ldl -lm -lpthread

# Where the three products go: the tree's top for the ordinary build, $(BUILD) for the others.
OUT     := $(if $(filter build,$(BUILD)),.,$(BUILD))

SRC     := $(wildcard src/*/*.c)
CLI_OBJ := $(patsubst src/%.c,$(BUILD)/%.o,$(filter src/cli/%,$(SRC)))
LIB_OBJ := $(patsubst src/%.c,$(BUILD)/%.o,$(filter-out src/cli/%,$(SRC)))
UNIT    := $(patsubst test/unit/%.c,$(BUILD)/unit/%,$(wildcard test/unit/*.c))
FUZZERS := $(patsubst test/fuzz/%.c,%,$(filter-out test/fuzz/replay.c,$(wildcard test/fuzz/*.c)))
REPLAY  := $(FUZZERS:%=$(BUILD)/replay/%)
BENCH   := $(patsubst bench/%.c,$(BUILD)/bench-programs/%,$(wildcard bench/*.c))

# Sanitizers change what gcc can see, and some of its warnings with it; the ordinary build keeps -Werror.
SAN     := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -Wno-error

# Two compilers at a time, unless make was called with -j itself.
SUBMAKE = $(MAKE) --no-print-directory $(if $(findstring jobserver,$(MAKEFLAGS)),,-j2)

Q = $(if $(V),,@)
say = $(if $(V),,@echo '  $(1)';)

.DELETE_ON_ERROR:
.PHONY: all products test-programs test check asan asan-build debug fuzz style rewrite demo install \
        bench bench-programs clean deps FORCE

all: $(BUILD)/deps.ok
	+$(Q)$(SUBMAKE) products

products: $(OUT)/sqlgrad $(OUT)/libsqlgrad.a $(OUT)/libsqlgrad.so

# ---- compile and link ----

# `make` alone installs nothing: it checks once, and says what is missing.
$(BUILD)/deps.ok: scripts/install-deps.sh
	$(Q)mkdir -p $(@D)
	$(Q)CC='$(CC)' scripts/install-deps.sh --check
	$(Q)touch $@

$(BUILD)/flags: FORCE
	$(Q)mkdir -p $(@D)
	$(Q)printf '%s\n' '$(subst ','\'',$(CC) $(ALL_CFLAGS) $(LDFLAGS))' | cmp -s - $@ || \
	    printf '%s\n' '$(subst ','\'',$(CC) $(ALL_CFLAGS) $(LDFLAGS))' > $@

$(BUILD)/%.o: src/%.c $(BUILD)/flags
	$(Q)mkdir -p $(@D)
	$(call say,CC   $<)$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

# The list of objects is a file too, so that a deleted source leaves the libraries.
$(BUILD)/objects: FORCE
	$(Q)mkdir -p $(@D)
	$(Q)echo '$(LIB_OBJ) $(CLI_OBJ)' | cmp -s - $@ || echo '$(LIB_OBJ) $(CLI_OBJ)' > $@

$(OUT)/libsqlgrad.a: $(LIB_OBJ) $(BUILD)/objects
	$(Q)rm -f $@
	$(call say,AR   $@)$(AR) rcs $@ $(LIB_OBJ)

$(OUT)/libsqlgrad.so: $(LIB_OBJ) $(BUILD)/objects
	$(call say,LD   $@)$(CC) -shared $(SAN_LINK) $(LDFLAGS) -Wl,-soname,libsqlgrad.so.$(SOVERSION) \
	    $(if $(MODE),,-Wl,--no-undefined) -o $@ $(LIB_OBJ) $(LIBS)
	$(Q)ln -sf libsqlgrad.so $(OUT)/libsqlgrad.so.$(SOVERSION)

$(OUT)/sqlgrad: $(CLI_OBJ) $(OUT)/libsqlgrad.a
	$(call say,LD   $@)$(CC) $(SAN_LINK) $(LDFLAGS) -o $@ $(CLI_OBJ) $(OUT)/libsqlgrad.a $(LIBS)

# Unit tests and the replay of fuzzing corpora: one program per file of test/unit and test/fuzz.
$(BUILD)/unit/%: test/unit/%.c test/unit/unit.h $(OUT)/libsqlgrad.a
	$(Q)mkdir -p $(@D)
	$(call say,CC   $<)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $< $(OUT)/libsqlgrad.a $(LIBS)

$(BUILD)/replay/%: test/fuzz/%.c test/fuzz/replay.c test/fuzz/fuzz.h $(OUT)/libsqlgrad.a
	$(Q)mkdir -p $(@D)
	$(call say,CC   $<)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $< test/fuzz/replay.c $(OUT)/libsqlgrad.a $(LIBS)

# What bench/run needs beside the command; the peak is that of this processor.
$(BUILD)/bench-programs/%: bench/%.c $(OUT)/libsqlgrad.a
	$(Q)mkdir -p $(@D)
	$(call say,CC   $<)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $< $(OUT)/libsqlgrad.a $(LIBS)

$(BUILD)/bench-programs/peak: bench/peak.c $(BUILD)/flags
	$(Q)mkdir -p $(@D)
	$(call say,CC   $<)$(CC) $(ALL_CFLAGS) -march=native $(LDFLAGS) -o $@ $< -ldl -lpthread

test-programs: $(UNIT) $(REPLAY) $(BENCH)

bench-programs: $(BENCH)

-include $(LIB_OBJ:.o=.d) $(CLI_OBJ:.o=.d)

# ---- other builds: the same rules with another $(BUILD) ----

ASAN_MAKE = $(SUBMAKE) BUILD=build/asan MODE='-DARENA_DEBUG=1 -DSQLGRAD_DEBUG=1 $(SAN)' \
            CFLAGS='-O1 -g' SAN_LINK='$(SAN)'
asan-build:
	+$(Q)$(ASAN_MAKE) all
	+$(Q)$(ASAN_MAKE) test-programs

debug:
	+$(Q)$(SUBMAKE) BUILD=build/debug MODE='-DSQLGRAD_DEBUG=1' CFLAGS='-O0 -g3' all

# ---- tests ----

# The installer may bring the compiler itself, so the build is a second make.
test:
	$(Q)scripts/install-deps.sh build test
	+$(Q)$(SUBMAKE) all
	+$(Q)$(SUBMAKE) test-programs
	+$(Q)$(SUBMAKE) asan-build
	$(Q)test/run --all --asan build/asan/sqlgrad

check: all
	+$(Q)$(SUBMAKE) test-programs
	$(Q)test/run --quick

asan: asan-build
	$(Q)test/run --bin build/asan/sqlgrad

rewrite: all
	$(Q)test/run --rewrite

style:
	$(Q)scripts/style.py

FUZZ_BUILD = $(SUBMAKE) BUILD=build/fuzz CC=clang CFLAGS='-O1 -g' SAN_LINK='$(SAN)' \
             MODE='-DARENA_DEBUG=1 -DSQLGRAD_DEBUG=1 -fsanitize=fuzzer-no-link $(SAN)'
fuzz:
	+$(Q)$(FUZZ_BUILD) $(FUZZERS:%=build/fuzz/fuzzer/%)
	$(Q)test/fuzz/run build/fuzz $(or $(SECONDS),60) $(FUZZERS)

$(BUILD)/fuzzer/%: test/fuzz/%.c test/fuzz/fuzz.h $(OUT)/libsqlgrad.a
	$(Q)mkdir -p $(@D)
	$(call say,CC   $<)$(CC) $(ALL_CFLAGS) -fsanitize=fuzzer $(LDFLAGS) -o $@ $< $(OUT)/libsqlgrad.a $(LIBS)

# ---- measuring ----

bench:
	$(Q)scripts/install-deps.sh build bench
	+$(Q)$(SUBMAKE) all
	+$(Q)$(SUBMAKE) bench-programs
	$(Q)bench/run $(NAMES)

# ---- demo, installation ----

demo:
	$(Q)scripts/install-deps.sh build demo
	+$(Q)$(SUBMAKE) all
	$(Q)scripts/demo.sh

install: all
	install -d $(DESTDIR)$(BINDIR) $(DESTDIR)$(LIBDIR)/pkgconfig $(DESTDIR)$(INCLUDEDIR)
	install -m 755 $(OUT)/sqlgrad $(DESTDIR)$(BINDIR)/
	install -m 644 include/sqlgrad.h $(DESTDIR)$(INCLUDEDIR)/
	install -m 644 $(OUT)/libsqlgrad.a $(DESTDIR)$(LIBDIR)/
	install -m 755 $(OUT)/libsqlgrad.so $(DESTDIR)$(LIBDIR)/libsqlgrad.so.$(VERSION)
	ln -sf libsqlgrad.so.$(VERSION) $(DESTDIR)$(LIBDIR)/libsqlgrad.so.$(SOVERSION)
	ln -sf libsqlgrad.so.$(SOVERSION) $(DESTDIR)$(LIBDIR)/libsqlgrad.so
	printf '%s\n' 'prefix=$(PREFIX)' 'libdir=$(LIBDIR)' 'includedir=$(INCLUDEDIR)' '' 'Name: sqlgrad' \
	    'Description: deep learning in plain SQL: differentiates, trains and runs models that are queries' \
	    'Version: $(VERSION)' 'Libs: -L$${libdir} -lsqlgrad' 'Libs.private: $(LIBS)' \
	    'Cflags: -I$${includedir}' > $(DESTDIR)$(LIBDIR)/pkgconfig/sqlgrad.pc

clean:
	rm -rf build sqlgrad libsqlgrad.a libsqlgrad.so libsqlgrad.so.*
