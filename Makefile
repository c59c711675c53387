# augmint: one Makefile, read from top to bottom: features, flags, sources, rules, targets.
# `make help` lists the targets.

SHELL := /bin/bash
.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
comma := ,
V ?= 0
Q := $(if $(filter 1,$(V)),,@)

# SAN=address,undefined (or thread) builds beside the release build and checks invariants.
SAN ?=
B := build$(if $(SAN),/san-$(subst $(comma),-,$(SAN)))

# ---- what is here ----
PKGS := hdf5-openmpi ompi-c openblas yaml-0.1 jansson libjpeg libpng zlib libcrypto
HAVE_PKGS := $(shell pkg-config --exists $(PKGS) 2>/dev/null && echo 1)
LIB_CFLAGS := $(if $(HAVE_PKGS),$(shell pkg-config --cflags $(PKGS)))
# oneDNN of Debian 12 comes without a .pc file.
LIB_LIBS := $(if $(HAVE_PKGS),$(shell pkg-config --libs $(PKGS))) -ldnnl -lpthread -lm
# Figures need h5py, pandas and matplotlib: the first Python that has them.
has_figures = $(shell $(1) -c 'import sys, importlib.util as u; \
  sys.exit(any(u.find_spec(m) is None for m in ("h5py", "pandas", "matplotlib")))' 2>/dev/null && echo $(1))
PYTHON ?= $(or $(call has_figures,python3),$(call has_figures,/usr/bin/python3),/usr/bin/python3)
# As root in a container, on one core, without a network: still two ranks.
MPIRUN := OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_btl_vader_single_copy_mechanism=none \
  mpirun --oversubscribe --bind-to none

# ---- flags ----
ifeq ($(origin CC),default)
CC := gcc
endif
OPT ?= -O3 -g
# -fno-trapping-math: nobody reads the floating-point flags, so conditional arithmetic may be vectorised.
# -ffp-contract=off: the same source gives the same bits; kernels that want fused operations say so.
CPPFLAGS := -Isrc -D_POSIX_C_SOURCE=200809L $(if $(SAN),-DAM_INVARIANTS)
CFLAGS := -std=c11 $(OPT) -fopenmp -fno-math-errno -fno-trapping-math -ffp-contract=off -Wall -Wextra \
  -Wshadow -Wvla -Wmissing-prototypes \
  -Wstrict-prototypes -Wformat=2 -Wno-unused-parameter $(LIB_CFLAGS) \
  $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=all)
ifeq ($(CC),gcc)
CFLAGS += -Wno-format-truncation
endif
LDFLAGS := -fopenmp $(if $(SAN),-fsanitize=$(SAN))

# ---- sources ----
SRC := $(sort $(wildcard src/*/*.c src/*/*/*.c))
LIB_OBJ := $(patsubst src/%.c,$(B)/%.o,$(filter-out src/app/main.c,$(SRC)))
# A test program is a file with a main; files without one beside it are shared between programs.
TEST_SRC := $(shell grep -l '^int main' $(wildcard $(addprefix tests/,unit/*.c ops/*.c golden/*.c fault/*.c mpi/*.c)) /dev/null)
TEST_SHARED := $(filter-out $(TEST_SRC),$(wildcard tests/ops/*.c tests/mpi/*.c))
TESTS := $(TEST_SRC:%.c=$(B)/%)
FUZZ := $(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/fuzz_*.c))

# ---- rules ----
$(B)/flags.stamp: FORCE
	@mkdir -p $(@D)
	@echo '$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS)' | cmp -s - $@ || \
	  echo '$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS)' > $@

$(B)/%.o: src/%.c $(B)/flags.stamp
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c $< -o $@

# The commit reaches one object only.
COMMIT := $(or $(shell git describe --always --dirty 2>/dev/null),unknown)
$(B)/commit.stamp: FORCE
	@mkdir -p $(@D)
	@echo '$(COMMIT)' | cmp -s - $@ || echo '$(COMMIT)' > $@
$(B)/base/version.o: CPPFLAGS += -DAM_COMMIT='"$(COMMIT)"' -DAM_BUILD='"$(CC) $(OPT) $(if $(SAN),-fsanitize=$(SAN))"'
$(B)/base/version.o: $(B)/commit.stamp

$(B)/libaugmint.a: $(LIB_OBJ)
	$(Q)rm -f $@ && ar rcs $@ $^

$(B)/augmint: $(B)/app/main.o $(B)/libaugmint.a
	$(Q)$(CC) $(LDFLAGS) $^ -o $@ $(LIB_LIBS)

$(B)/tests/%.o: tests/%.c $(B)/flags.stamp
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -Itests -MMD -MP -c $< -o $@

# The objects that a test program shares with the others of its folder.
shared_with = $(patsubst %.c,$(B)/%.o,$(filter $(dir $(1))%,$(TEST_SHARED)))
.SECONDEXPANSION:
$(TESTS): $(B)/%: $(B)/%.o $$(call shared_with,$$*) $(B)/libaugmint.a
	$(Q)$(CC) $(LDFLAGS) $^ -o $@ $(LIB_LIBS) -lcmocka

# Fuzz targets link the library as clang built it for libFuzzer (see the target `fuzz`).
$(FUZZ:%=$(B)/fuzz/%): $(B)/fuzz/%: $(B)/tests/fuzz/%.o $(B)/libaugmint.a
	@mkdir -p $(@D)
	$(Q)$(CC) -fsanitize=fuzzer,address $^ -o $@ $(LIB_LIBS)

-include $(shell find $(B) -name '*.d' 2>/dev/null)

# ---- targets ----
.PHONY: all quickstart check check-slurm tests lint fuzz bench info help clean FORCE
FORCE:

all: $(B)/augmint                   ## build the program

quickstart:                         ## install what is missing, build, run a small experiment, write its report
	$(Q).ci/install figures
	$(Q)$(MAKE) --no-print-directory quickstart-run

quickstart-run: all
	$(Q)$(MPIRUN) -n 2 $(B)/augmint run experiments/quickstart.yaml
	$(Q)$(PYTHON) analysis/figures.py results/quickstart
	@echo "Done. Open results/quickstart/report.html in a browser; README.md says what to try next."

check:                              ## install what is missing, build, lint, run every test (SAN=address,undefined)
	$(Q).ci/install check
	$(Q)$(MAKE) --no-print-directory check-run

check-run: all tests
	$(Q)PYTHON="$(PYTHON)" tests/run.sh $(B) $(ONLY)

check-slurm: all                    ## sweeps on a real Slurm, started for the tests (root; Debian's packages)
	$(Q)if ((EUID == 0)); then .ci/install slurm; fi
	$(Q)AM_TEST_TIMEOUT=1800 tests/run.sh $(B) tests/slurm/$(ONLY)

tests: $(TESTS)                     ## build the test programs

lint:                               ## layering, forbidden calls, headers that compile alone
	$(Q)python3 tests/lint/lint.py

fuzz:                               ## run every fuzz target for FUZZ_SEC seconds (default 60)
	$(Q)$(MAKE) --no-print-directory CC=clang SAN=fuzzer-no-link,address fuzz-build
	$(Q)tests/fuzz/run.sh build/san-fuzzer-no-link-address/fuzz $(or $(FUZZ_SEC),60)

fuzz-build: $(FUZZ:%=$(B)/fuzz/%)

bench: all                          ## ours beside PyTorch and Pillow: BENCH_ROWS=a,b BENCH_PYTHON=... (README.md, "Speed")
	$(Q)python3 analysis/bench.py --program $(B)/augmint --out build/bench $(if $(BENCH_ROWS),--rows $(BENCH_ROWS)) \
	  $(if $(BENCH_PYTHON),--python $(BENCH_PYTHON)) $(if $(BENCH_IMAGES),--images $(BENCH_IMAGES)) $(BENCH_OPTIONS)

info:                               ## what was found on this machine
	@echo "compiler  $$($(CC) --version | head -n 1)"
	@for p in $(PKGS); do echo "$$p  $$(pkg-config --modversion $$p 2>/dev/null || echo 'not found')"; done | column -t
	@echo "oneDNN    $$(ls /usr/include/dnnl_version.h /usr/include/oneapi/dnnl/dnnl_version.h 2>/dev/null | head -n 1 || true)"
	@echo "python    $(PYTHON)"

help:                               ## this list
	@grep -hE '^[a-z-]+:.*##' Makefile | sed -E 's/:[^#]*## */\t/' | column -t -s $$'\t'

clean:                              ## remove build/ (results/ stays)
	$(Q)rm -rf build
