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

# The GPU's part is a shared object of its own, built where nvcc, cuDNN 9, cuBLASLt and NCCL are. Other places:
# make NVCC=/path/to/nvcc CUDA_INCLUDE=... CUDA_LIB=... (several folders each, apart from the toolkit's own).
NVCC ?= $(shell command -v nvcc 2>/dev/null)
CUDA_HOME := $(if $(NVCC),$(abspath $(dir $(realpath $(NVCC)))/..))
CUDA_INCLUDE_ALL := $(CUDA_INCLUDE) $(if $(CUDA_HOME),$(CUDA_HOME)/include)
CUDA_LIB_ALL := $(CUDA_LIB) $(if $(CUDA_HOME),$(CUDA_HOME)/lib64)
has_cuda_header = $(firstword $(wildcard $(addsuffix /$(1),$(CUDA_INCLUDE_ALL))))
CUDA_HOST_CXX ?= $(shell command -v g++ 2>/dev/null)
CUDA_MISSING := $(strip $(if $(NVCC),$(foreach h,cuda_runtime.h cublasLt.h cudnn.h nccl.h,$(if $(call has_cuda_header,$(h)),,$(h))),nvcc) \
  $(if $(CUDA_HOST_CXX),,g++))
HAVE_CUDA := $(if $(SAN)$(CUDA_MISSING),,1)

# ---- flags ----
ifeq ($(origin CC),default)
CC := gcc
endif
OPT ?= -O3 -g
# -fno-trapping-math: nobody reads the floating-point flags, so conditional arithmetic may be vectorised.
# -ffp-contract=off: the same source gives the same bits; kernels that want fused operations say so.
CPPFLAGS := -Isrc -D_POSIX_C_SOURCE=200809L $(if $(SAN),-DAM_INVARIANTS)
CFLAGS := -std=c11 $(OPT) -fopenmp -fno-math-errno -fno-trapping-math -ffp-contract=off -Wall -Wextra \
  -Wshadow -Wvla -Wmissing-prototypes -Werror=implicit-function-declaration \
  -Wstrict-prototypes -Wformat=2 -Wno-unused-parameter $(LIB_CFLAGS) \
  $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=all)
ifeq ($(CC),gcc)
CFLAGS += -Wno-format-truncation
endif
# Plug-ins take the program's own functions from the program.
LDFLAGS := -fopenmp -rdynamic $(if $(SAN),-fsanitize=$(SAN))

# ---- sources ----
# Host logic of the GPU's part that needs none of its headers is tested without them, and so are its kernels, as loops.
CUDA_HOST := $(addprefix src/backend/cuda/,conv_rules.c plan_cache.c ring.c temps.c)
CUDA_PLAIN := $(addprefix src/backend/cuda/,augment.c conv_rules.c convert.c eltwise.c layout.c move.c norm.c pool.c reduce.c \
  resample.c temps.c walks.c)
CUDA_SRC := $(sort $(wildcard src/backend/cuda/*.c))
CUDA_KERNELS := $(sort $(wildcard src/backend/cuda/kernels/*.cu))
CUDA_OBJ := $(CUDA_SRC:src/%.c=$(B)/%.o) $(CUDA_KERNELS:src/%.cu=$(B)/%.cu.o)
PLUGINS := $(if $(HAVE_CUDA),$(B)/backends/cuda.so)
SRC := $(filter-out $(filter-out $(CUDA_HOST),$(CUDA_SRC)),$(sort $(wildcard src/*/*.c src/*/*/*.c)))
LIB_OBJ := $(patsubst src/%.c,$(B)/%.o,$(filter-out src/app/main.c,$(SRC)))
# A test program is a file with a main; files without one beside it are shared between programs.
TEST_SRC := $(shell grep -l '^int main' $(wildcard $(addprefix tests/,unit/*.c ops/*.c golden/*.c fault/*.c mpi/*.c gpu/*.c)) /dev/null)
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

# Real machine code for each generation, and what newer drivers compile for newer cards.
ifdef HAVE_CUDA
CUDA_KNOWN := $(shell $(NVCC) --list-gpu-code)
CUDA_ARCH ?= $(foreach a,80 90 100,$(if $(filter sm_$(a),$(CUDA_KNOWN)),$(a)))
endif
# -fmad=false: as -ffp-contract=off above, and the same sums as the same kernels have as loops for this processor.
NVCC_FLAGS = -std=c++17 -O3 -fmad=false -lineinfo -ccbin $(CUDA_HOST_CXX) -Isrc -Xcompiler -fPIC,-Wall,-Wextra -Werror all-warnings \
  $(foreach a,$(CUDA_ARCH),-gencode arch=compute_$(a)$(comma)code=sm_$(a)) \
  -gencode arch=compute_$(lastword $(CUDA_ARCH))$(comma)code=compute_$(lastword $(CUDA_ARCH))
$(B)/%.cu.o: src/%.cu $(B)/flags.stamp
	@mkdir -p $(@D)
	$(Q)$(NVCC) $(NVCC_FLAGS) -MMD -MP -c $< -o $@
$(CUDA_SRC:src/%.c=$(B)/%.o): CPPFLAGS += $(addprefix -isystem ,$(CUDA_INCLUDE_ALL)) -fPIC
CUDA_LINK = $(addprefix -L,$(CUDA_LIB_ALL)) -lcudart -lcublasLt -lcudnn -lnccl
$(B)/backends/cuda.so: $(CUDA_OBJ)
	@mkdir -p $(@D)
	$(Q)$(CC) -shared $^ -o $@ $(foreach d,$(CUDA_LIB_ALL),-Wl$(comma)-rpath$(comma)$(d)) $(CUDA_LINK)

# The same kernels as loops for this processor: tests/on_host/cuda_on_host.c.
ON_HOST := $(B)/tests/on_host/cuda.so
$(B)/on_host/%.o: % $(B)/flags.stamp
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -DAM_CUDA_ON_HOST -fPIC -MMD -MP -x c -c $< -o $@
$(ON_HOST): $(patsubst %,$(B)/on_host/%.o,$(CUDA_PLAIN) $(CUDA_KERNELS) tests/on_host/cuda_on_host.c)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) -shared $^ -o $@ -lm

# The cpu backend behind memory that the host cannot read: tests/on_host/sealed.c. Transforms are the cuda backend's kernel.
SEALED := $(B)/tests/on_host/sealed/cuda.so
$(SEALED): $(patsubst %,$(B)/on_host/%.o,tests/on_host/sealed.c src/backend/cuda/kernels/augment.cu)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) -shared $^ -o $@

$(B)/tests/%.o: tests/%.c $(B)/flags.stamp
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -Itests -MMD -MP -c $< -o $@

# A test that plays the card takes its caller as it is on the host.
ON_HOST_CALLER := $(B)/on_host/src/backend/cuda/upload.c.o
$(B)/tests/unit/test_upload.o: CPPFLAGS += -DAM_CUDA_ON_HOST

# The objects that a test program shares with the others of its folder.
shared_with = $(patsubst %.c,$(B)/%.o,$(filter $(dir $(1))%,$(TEST_SHARED))) $(if $(filter %/test_upload,$(1)),$(ON_HOST_CALLER))
.SECONDEXPANSION:
$(TESTS): $(B)/%: $(B)/%.o $$(call shared_with,$$*) $(B)/libaugmint.a
	$(Q)$(CC) $(LDFLAGS) $^ -o $@ $(LIB_LIBS) -lcmocka

# A folder that runs on other machines (.ci/bundle): the program, and the tests that are for a card, with what the plug-in
# takes from them. An old-style run path serves libraries of libraries and plug-ins, too; the plug-in has none, so that
# NVIDIA's libraries are those of the machine.
BUNDLE := $(B)/bundle
BUNDLE_TESTS := $(addprefix $(BUNDLE)/tests/,$(addprefix ops/,test_agree test_agree_bf16 test_gradcheck \
  test_gradcheck_functions test_network_agree test_cuda_augment) gpu/test_gpu_copies gpu/test_gpu_train)
to_run_in = $(LDFLAGS) -s -Wl,--disable-new-dtags,-rpath,'$$ORIGIN/$(1)'
$(BUNDLE)/bin/augmint: $(B)/app/main.o $(B)/libaugmint.a
	@mkdir -p $(@D)
	$(Q)$(CC) $(call to_run_in,../lib) $^ -o $@ $(LIB_LIBS)
taken_by_plugins = $(if $(PLUGINS),$$(nm -D --undefined-only $(BUNDLE)/bin/backends/cuda.so | sed -n 's/.* \(am_\)/-Wl,-u,\1/p'))
$(BUNDLE_TESTS): $(BUNDLE)/%: $(B)/%.o $$(call shared_with,$$*) $(B)/libaugmint.a $(PLUGINS:$(B)/%=$(BUNDLE)/bin/%)
	@mkdir -p $(@D)
	$(Q)$(CC) $(call to_run_in,../../lib) $(taken_by_plugins) $(filter-out %.so,$^) -o $@ $(LIB_LIBS) -lcmocka
$(BUNDLE)/bin/backends/cuda.so: $(CUDA_OBJ)
	@mkdir -p $(@D)
	$(Q)$(CC) -shared -s $^ -o $@ $(CUDA_LINK)

# Fuzz targets link the library as clang built it for libFuzzer (see the target `fuzz`).
$(FUZZ:%=$(B)/fuzz/%): $(B)/fuzz/%: $(B)/tests/fuzz/%.o $(B)/libaugmint.a
	@mkdir -p $(@D)
	$(Q)$(CC) -fsanitize=fuzzer,address $^ -o $@ $(LIB_LIBS)

-include $(shell find $(B) -name '*.d' 2>/dev/null)

# NVIDIA's libraries where this machine has them.
ON_CARD = LD_LIBRARY_PATH=$${LD_LIBRARY_PATH:-}$(subst $() ,,$(patsubst %,:%,$(CUDA_LIB_ALL)))

# ---- targets ----
.PHONY: all quickstart check check-slurm check-gpu tests lint fuzz bench bench-gpu bundle info help clean FORCE
FORCE:

all: $(B)/augmint $(PLUGINS)        ## build the program, and the GPU's part where that can be built

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

bundle: $(BUNDLE)/bin/augmint $(PLUGINS:$(B)/%=$(BUNDLE)/bin/%) $(BUNDLE_TESTS)  ## build/bundle: what runs on a machine with a card and none of our packages
	$(Q).ci/bundle $(BUNDLE)

check-gpu: bundle                   ## tests on a card; fails where there is none (docs/gpu-runs.md)
	$(Q)$(ON_CARD) $(BUNDLE)/check-gpu --out $(B)/check-gpu

tests: $(TESTS) $(ON_HOST) $(SEALED)          ## build the test programs

lint:                               ## layering, forbidden calls, headers that compile alone
	$(Q)python3 tests/lint/lint.py

fuzz:                               ## run every fuzz target for FUZZ_SEC seconds (default 60)
	$(Q)$(MAKE) --no-print-directory CC=clang SAN=fuzzer-no-link,address fuzz-build
	$(Q)tests/fuzz/run.sh build/san-fuzzer-no-link-address/fuzz $(or $(FUZZ_SEC),60)

fuzz-build: $(FUZZ:%=$(B)/fuzz/%)

bench: all                          ## ours beside PyTorch and Pillow: BENCH_ROWS=a,b BENCH_PYTHON=... (README.md, "Speed")
	$(Q)python3 analysis/bench.py --program $(B)/augmint --out build/bench $(if $(BENCH_ROWS),--rows $(BENCH_ROWS)) \
	  $(if $(BENCH_PYTHON),--python $(BENCH_PYTHON)) $(if $(BENCH_IMAGES),--images $(BENCH_IMAGES)) $(BENCH_OPTIONS)

bench-gpu: bundle                   ## the same on a card, and what it can do at most
	$(Q)$(ON_CARD) $(BUNDLE)/bench-gpu --out $(B)/bench-gpu $(if $(BENCH_ROWS),--rows $(BENCH_ROWS)) \
	  $(if $(BENCH_PYTHON),--python $(BENCH_PYTHON)) $(BENCH_OPTIONS)

info:                               ## what was found on this machine
	@echo "compiler  $$($(CC) --version | head -n 1)"
	@for p in $(PKGS); do echo "$$p  $$(pkg-config --modversion $$p 2>/dev/null || echo 'not found')"; done | column -t
	@echo "oneDNN    $$(ls /usr/include/dnnl_version.h /usr/include/oneapi/dnnl/dnnl_version.h 2>/dev/null | head -n 1 || true)"
	@echo "python    $(PYTHON)"
	@echo "cuda      $(if $(HAVE_CUDA),$(B)/backends/cuda.so by $(NVCC) for sm_$(subst $() $(),$(comma) sm_,$(CUDA_ARCH)),not built: $(if $(SAN),not under sanitizers,no $(CUDA_MISSING)))"

help:                               ## this list
	@grep -hE '^[a-z-]+:.*##' Makefile | sed -E 's/:[^#]*## */\t/' | column -t -s $$'\t'

clean:                              ## remove build/ (results/ stays)
	$(Q)rm -rf build
