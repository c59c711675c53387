# augmint: one Makefile, read from top to bottom: features, flags, sources, rules, targets.
#   make quickstart    install what is missing, build, run a small experiment, write its report
#   make check         install what is missing, build, lint, run every test
#   make help          the other targets

SHELL := /bin/bash
.DELETE_ON_ERROR:
V ?= 0
Q := $(if $(filter 1,$(V)),,@)
SAN ?=
B := build$(if $(SAN),/san-$(subst $(comma),-,$(SAN)))
comma := ,

# ---- what is here ----
HAVE_TOOLS := $(shell command -v pkg-config >/dev/null && command -v mpicc >/dev/null && echo 1)
PKGS := hdf5-openmpi ompi-c dnnl openblas yaml-0.1 jansson libjpeg libpng libcrypto
# oneDNN of Debian 12 has no .pc file: it is linked by name.
PKGS_PC := $(filter-out dnnl,$(PKGS))
LIB_CFLAGS := $(if $(HAVE_TOOLS),$(shell pkg-config --cflags $(PKGS_PC) 2>/dev/null))
LIB_LIBS := $(if $(HAVE_TOOLS),$(shell pkg-config --libs $(PKGS_PC) 2>/dev/null)) -ldnnl -lm -lpthread
# Figures need h5py, pandas, matplotlib: the first Python that has them.
PYTHON ?= $(firstword $(foreach p,python3 /usr/bin/python3,$(if $(shell $(p) -c 'import h5py,pandas,matplotlib' 2>/dev/null && echo 1),$(p))) /usr/bin/python3)

# ---- flags ----
CC ?= gcc
OPT ?= -O3 -g
CPPFLAGS := -Isrc -D_POSIX_C_SOURCE=200809L $(if $(SAN),-DAM_DEBUG)
CFLAGS := -std=c11 $(OPT) -fno-math-errno -ffp-contract=off -Wall -Wextra -Wshadow -Wvla -Wmissing-prototypes \
  -Wstrict-prototypes -Wformat=2 -Wno-format-truncation -Wno-unused-parameter $(LIB_CFLAGS) \
  $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=undefined)
LDFLAGS := $(if $(SAN),-fsanitize=$(SAN))

# ---- sources ----
SRC := $(sort $(wildcard src/*/*.c src/*/*/*.c))
LIB_OBJ := $(patsubst src/%.c,$(B)/%.o,$(filter-out src/app/main.c,$(SRC)))
TESTS := $(sort $(patsubst tests/%.c,$(B)/tests/%,$(wildcard tests/unit/*.c tests/ops/*.c tests/mpi/*.c tests/golden/*.c tests/fault/*.c)))

# ---- rules ----
all: $(B)/augmint

$(B)/flags.stamp: FORCE
	@mkdir -p $(@D)
	@echo '$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS)' | cmp -s - $@ || echo '$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS)' > $@

$(B)/%.o: src/%.c $(B)/flags.stamp
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c $< -o $@

$(B)/libaugmint.a: $(LIB_OBJ)
	$(Q)rm -f $@ && ar rcs $@ $^

$(B)/augmint: $(B)/app/main.o $(B)/libaugmint.a
	$(Q)$(CC) $(LDFLAGS) $^ -o $@ $(LIB_LIBS)

$(B)/tests/%: tests/%.c $(B)/libaugmint.a $(B)/flags.stamp
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -Itests -MMD -MP -MF $@.d $< $(B)/libaugmint.a -o $@ $(LDFLAGS) $(LIB_LIBS) -lcmocka

-include $(shell find $(B) -name '*.d' 2>/dev/null)

.PHONY: all FORCE
FORCE:
