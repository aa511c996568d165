# SPDX-License-Identifier: MIT
# One Makefile, no recursion into folders. `make help` lists the targets.

BUILD  ?= build/release
CFLAGS ?= -O2 -g
SAN    ?=
SANITIZE ?=
WERROR ?=
PREFIX ?= /usr/local
Q      := $(if $(V),,@)

# The architecture. A component may include only what its line names: a folder,
# or a single header. `make layers` enforces it.
DEPS.abi             :=
DEPS.util            :=
DEPS.tools           := util
DEPS.platform        := abi util
DEPS.ring            := abi util
DEPS.grant           := abi util platform
DEPS.xenstore-lite   := abi util platform
DEPS.broker          := abi util platform xenstore-lite/domctl.h
DEPS.worker          := util
DEPS.xenbus          := abi util platform xenstore-lite/xs.h
DEPS.monitor         := abi util platform xenbus/xenbus.h xenstore-lite/xs.h
DEPS.blkback         := abi util platform ring grant worker xenbus monitor \
	xenstore-lite/xs.h
DEPS.blkback/storage := util blkback/storage.h
DEPS.netback         := abi util platform ring grant worker xenbus monitor \
	xenstore-lite/xs.h
DEPS.netback/nic     := abi util netback/nic.h netback/frame.h
DEPS.blkfront        := abi util platform ring grant xenbus xenstore-lite/xs.h
DEPS.blkfront/fuse   := abi util blkfront
DEPS.blkfront/tools  := abi/grant.h util tools blkfront/blkfront.h
DEPS.blkfront/nbdkit := abi/grant.h util blkfront/blkfront.h blkfront/bytes.h \
	blkfront/lanes.h
DEPS.netfront        := abi util platform ring grant xenbus xenstore-lite/xs.h
DEPS.netfront/tap    := abi/grant.h util netfront/netfront.h
DEPS.netfront/tools  := abi/grant.h util tools netfront/netfront.h
DEPS.pvsplit         := abi util platform xenbus xenstore-lite/xs.h \
	xenstore-lite/xs_page.h
COMPONENTS := abi util tools platform ring grant xenstore-lite broker worker xenbus \
	monitor blkback blkback/storage netback netback/nic blkfront blkfront/fuse \
	blkfront/tools netfront netfront/tap netfront/tools pvsplit

# What is loaded or linked by programs that are not ours; see "pic" below.
PLUGINS := blkfront/nbdkit

# Programs: FOLDER/NAME is FOLDER/NAME.c plus the libraries, as BUILD/bin/NAME.
PROGRAMS := broker/brokerd xenstore-lite/xenstored-lite blkback/blkbackd \
	netback/netbackd blkfront/fuse/blkfront-fuse blkfront/tools/blkfront-bench \
	blkfront/tools/blkfront-copy netfront/tap/netfront-tap \
	netfront/tools/netfront-bench pvsplit/pvsplit

pkg = $(shell pkg-config $(1) $(2) 2>/dev/null)
LIBS.xenstored-lite := $(call pkg,--libs,zlib)
# Drivers that are built only where their library is: HAVE.NAME is what
# links it, nothing when it is missing. What is left out is said aloud by `all`.
OPTIONAL_DRIVERS := aio nbd iscsi af_xdp
header   = $(shell echo '\#include <$(1)>' | $(CC) -E - >/dev/null 2>&1 && \
	echo $(2))
HAVE.aio := $(call header,libaio.h,-laio)
HAVE.nbd := $(call pkg,--libs,libnbd)
HAVE.iscsi := $(call pkg,--libs,libiscsi)
HAVE.af_xdp := $(call pkg,--libs,libbpf)
drivers  := $(foreach d,$(OPTIONAL_DRIVERS),$(if $(HAVE.$(d)),$(d)))
left_out := $(filter-out $(drivers),$(OPTIONAL_DRIVERS))
LIBS.drivers       := $(foreach d,$(drivers),$(HAVE.$(d)))
LIBS.nics          := $(HAVE.af_xdp)
LIBS.disks         := $(HAVE.aio) $(HAVE.nbd) $(HAVE.iscsi)
LIBS.blkbackd      := $(call pkg,--libs,liburing zlib) $(LIBS.disks)
LIBS.netbackd      := $(call pkg,--libs,libnl-route-3.0) $(LIBS.nics)
LIBS.blkfront-fuse := $(call pkg,--libs,fuse3)
LIBS.blkfront-bench := $(call pkg,--libs,jansson zlib)
LIBS.blkfront-copy  := $(call pkg,--libs,jansson)
LIBS.netfront-tap  := $(call pkg,--libs,libnl-route-3.0)
LIBS.netfront-bench := $(call pkg,--libs,jansson)
LIBS.pvsplit       := $(call pkg,--libs,libnl-route-3.0 jansson)
# Unit tests may reach any component.
LIBS.tests := -lcunit $(call pkg,--libs,liburing libnl-route-3.0 jansson zlib) \
	$(LIBS.drivers)
PKG_CFLAGS := $(call pkg,--cflags,liburing libnl-route-3.0 jansson fuse3 zlib)
# As optional: the plugin for nbdkit. A sanitizer would have to be in nbdkit too.
NBDKIT := $(if $(SAN),,$(shell pkg-config --exists nbdkit && echo yes))

warnings := -Wall -Wextra $(WERROR) -Wshadow -Wvla -Wundef -Wformat=2 \
	-Wpointer-arith -Wwrite-strings -Wcast-qual -Wstrict-prototypes \
	-Wmissing-prototypes -Wimplicit-fallthrough -Wswitch-enum
ifneq ($(findstring clang,$(CC)),)
warnings += -Wthread-safety -Wmissing-variable-declarations
endif

override CFLAGS   += -std=gnu11 -fno-common -fstack-protector-strong $(warnings) \
	$(if $(SAN),-fsanitize=$(SAN) -fno-sanitize-recover=all \
	-fno-omit-frame-pointer)
upper = $(shell echo $(1) | tr a-z A-Z)
override CPPFLAGS += -I. -D_GNU_SOURCE -MMD -MP \
	$(foreach d,$(drivers),-DHAVE_$(call upper,$(d))) $(patsubst -I%,-isystem %,$(PKG_CFLAGS))
override LDFLAGS  += -pthread $(if $(SAN),-fsanitize=$(SAN))

lib     = $(BUILD)/lib$(subst /,-,$(1)).a
srcs    = $(filter-out $(PROGRAMS:%=%.c) $(foreach d,$(left_out), \
	$(wildcard blkback/storage/$(d).c blkback/storage/$(d)_*.c \
	netback/nic/$(d).c netback/nic/$(d)_*.c)), \
	$(wildcard $(1)/*.c))
objs    = $(patsubst %.c,$(BUILD)/%.o,$(call srcs,$(1)))
libs   := $(foreach c,$(COMPONENTS),$(call lib,$(c)))
link    = -Wl,--start-group $(libs) -Wl,--end-group $(LDLIBS)
bins   := $(foreach p,$(PROGRAMS),$(BUILD)/bin/$(notdir $(p)))
tests  := $(patsubst %.c,$(BUILD)/%,$(filter-out \
	$(left_out:%=tests/unit/storage_%.c) \
	$(left_out:%=tests/unit/nic_%.c) \
	$(left_out:%=tests/unit/storage_%_fake.c),$(wildcard tests/unit/*.c \
	tests/abi/*.c tests/sim/*.c tests/hostile/*.c tests/system/*.c)))
units  := $(filter-out $(BUILD)/tests/system/%,$(tests))
oracle := $(BUILD)/tests/oracle/xenstored
fuzzed := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
replay := $(fuzzed:%=$(BUILD)/tests/fuzz/replay_%)
# Libraries and plugins for others' programs: the same sources once more, as
# position-independent code. Of a library only its own names are to be seen:
# blkfront_*, netfront_*.
fronts   := blkfront netfront
pic_srcs := $(wildcard \
	$(patsubst %,%/*.c,$(fronts) grant platform ring util xenbus) \
	xenstore-lite/xs.c xenstore-lite/xs_*.c)
pic     := $(pic_srcs:%.c=$(BUILD)/pic/%.o)
fronts_a := $(fronts:%=$(BUILD)/lib/libpvsplit-%.a)
nbdkit_so  := $(BUILD)/lib/nbdkit-pvsplit-plugin.so
bench_parts := $(wildcard bench/harness.c bench/lib*.c)
bench  := $(patsubst %.c,$(BUILD)/%,$(filter-out $(bench_parts),$(wildcard bench/*.c)))

.PHONY: all
.SECONDARY:
all: packages layers $(bins) $(if $(SAN),,$(fronts_a) plugins) ## build every library and program
	$(if $(left_out),@echo 'left out for want of a library: $(left_out)')

# The list of drivers is compiled anew when the libraries are others.
with := $(BUILD)/with-$(subst $() $(),-,drivers $(drivers))
$(with):
	@mkdir -p $(@D) && rm -f $(BUILD)/with-* && touch $@
$(BUILD)/blkback/storage/drivers.o $(BUILD)/netback/nic/drivers.o: $(with)

# The folder itself is named too: its time changes with the list of its files.
# A component of headers only has an archive without members.
define component
$(call lib,$(1)): $(call objs,$(1)) $(1)
	@mkdir -p $$(@D)
	$(Q)rm -f $$@ && $(AR) rc $$@ $$(filter %.o,$$^)
endef
$(foreach c,$(COMPONENTS),$(eval $(call component,$(c))))

define program
$(BUILD)/bin/$(notdir $(1)): $(BUILD)/$(1).o $(libs)
	@mkdir -p $$(@D)
	$(Q)$(CC) $(LDFLAGS) -o $$@ $$< $(link) $(LIBS.$(notdir $(1)))
endef
$(foreach p,$(PROGRAMS),$(eval $(call program,$(p))))

$(BUILD)/pic/%.o: %.c
	@mkdir -p $(@D)
	$(if $(V),,@echo '  CC   $< (pic)')
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -fPIC -fvisibility=hidden -c -o $@ $<
# Makefile: what is in it changes with the list of folders.
$(BUILD)/lib/pic.a: $(pic) Makefile
	@mkdir -p $(@D)
	$(Q)rm -f $@ && $(AR) rc $@ $(filter %.o,$^)
$(fronts_a): $(BUILD)/lib/libpvsplit-%.a: $(BUILD)/lib/pic.a
	$(Q)$(CC) -r -nostdlib -o $(@:.a=.o) $(BUILD)/pic/$*/$*.o $<
	$(Q)objcopy --wildcard --keep-global-symbol='$*_*' $(@:.a=.o)
	$(Q)rm -f $@ && $(AR) rc $@ $(@:.a=.o)
$(nbdkit_so): $(BUILD)/pic/blkfront/nbdkit/plugin.o $(BUILD)/lib/pic.a
	$(Q)$(CC) $(LDFLAGS) -shared -o $@ $^
.PHONY: plugins
plugins: $(if $(NBDKIT),$(nbdkit_so))
	$(if $(NBDKIT),,@echo 'left out for want of nbdkit: its plugin')
$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(if $(V),,@echo '  CC   $<')
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<
$(tests) $(oracle): %: %.o $(libs)
	$(Q)$(CC) $(LDFLAGS) $(WRAP) -o $@ $< $(link) $(LIBS.tests)
# Tests that refuse memory.
$(patsubst %,$(BUILD)/tests/unit/%,store_nomem store_journal_nomem): \
	WRAP := -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc
$(BUILD)/tests/hostile/blk_denied: WRAP := -Wl,--wrap=calloc
# A switch whose table is hashed alike each time.
$(BUILD)/tests/unit/net_switch_model: WRAP := -Wl,--wrap=getrandom
# An uplink of the test's own.
$(BUILD)/tests/unit/net_cut: WRAP := -Wl,--wrap=nic_by_name
# Deaths in the middle of a list of pages.
$(BUILD)/tests/hostile/net_ctrl: \
	WRAP := -Wl,--wrap=grant_cache_get,--wrap=grant_cache_forget
# A frontend that does not know features.
$(BUILD)/tests/system/blk_model: \
	WRAP := -Wl,--wrap=xs_printf,--wrap=xs_read_u32_default
$(replay): $(BUILD)/tests/fuzz/replay_%: $(BUILD)/tests/fuzz/fuzz_%.o \
		$(BUILD)/tests/fuzz/replay.o $(libs)
	$(Q)$(CC) $(LDFLAGS) -o $@ $(filter %.o,$^) $(link) $(LIBS.tests)
# An archive: a program takes what it uses, and no other frontend's library.
$(BUILD)/lib/bench.a: $(bench_parts:%.c=$(BUILD)/%.o)
	@mkdir -p $(@D)
	$(Q)rm -f $@ && $(AR) rc $@ $^
$(bench): %: %.o $(BUILD)/lib/bench.a $(libs)
	$(Q)$(CC) $(LDFLAGS) -o $@ $< $(BUILD)/lib/bench.a $(link) $(LIBS.tests)

# Programs that the targets below need come from Debian packages; these install
# what is missing (as root) or say in one line what to install. The build goes
# on in a second make, because pkg-config is asked when a Makefile is read.
.PHONY: packages demo check test-programs asan tsan model oracle bench bench-programs
packages: # fails with one line when a package for the build is missing
	$(Q)scripts/install-deps.sh --check build
demo: ## install what it needs, build, run the main job end to end
	$(Q)scripts/install-deps.sh build drivers run
	$(Q)$(MAKE) --no-print-directory all
	$(Q)$(BUILD)/bin/pvsplit demo
check: ## install what it needs, build, run every test (SANITIZE="asan tsan": under these too)
	$(Q)scripts/install-deps.sh build drivers run test
	$(Q)$(MAKE) --no-print-directory all test-programs
	$(Q)set -e; for s in $(SANITIZE); do \
		$(MAKE) --no-print-directory $$s-programs; done
	$(Q)BUILD=$(BUILD) scripts/check.sh system oracle model unit corpus \
		$(foreach s,$(SANITIZE),$(check.$(s):%=%@build/$(s)))
soak: ## what check does in short, for hours: random histories, deaths, file systems
	$(Q)scripts/install-deps.sh build drivers run test
	$(Q)$(MAKE) --no-print-directory all test-programs
	$(Q)SOAK=1 BUILD=$(BUILD) scripts/check.sh soak
test-programs: unit-programs $(tests) $(oracle) \
	$(BUILD)/tests/oracle/hypervisor.so
unit-programs: $(units) $(replay) $(BUILD)/bin/brokerd \
	$(BUILD)/bin/xenstored-lite

# ASan and UBSan are clang's, so that all of the sources have been through both
# compilers; TSan looks at the programs that start threads (and gcc, with it,
# warns of what is not so).
asan.flags := BUILD=build/asan SAN=address,undefined CC=clang CFLAGS='-O1 -g1'
tsan.flags := BUILD=build/tsan SAN=thread CFLAGS='-O1 -g1' WERROR=
check.asan := unit corpus
check.tsan := threads
.PHONY: asan-programs tsan-programs unit-programs objects soak
asan-programs:
	$(Q)$(MAKE) --no-print-directory $(asan.flags) objects unit-programs
tsan-programs:
	$(Q)$(MAKE) --no-print-directory $(tsan.flags) \
		build/tsan/bin/brokerd build/tsan/bin/xenstored-lite \
		$$(scripts/threads.sh $(BUILD) | sed 's,^,build/tsan/,')
asan: ## unit, simulated, hostile and system tests under ASan and UBSan
	$(Q)scripts/install-deps.sh build drivers run test
	$(Q)$(MAKE) --no-print-directory $(asan.flags) all test-programs
	$(Q)BUILD=build/asan scripts/check.sh system unit corpus
tsan: ## the same under ThreadSanitizer
	$(Q)scripts/install-deps.sh build drivers run test
	$(Q)$(MAKE) --no-print-directory $(tsan.flags) all test-programs
	$(Q)BUILD=build/tsan scripts/check.sh system unit
# Every source compiled, whether anything is linked from it or not.
sources := $(foreach c,$(COMPONENTS),$(call srcs,$(c))) $(PROGRAMS:%=%.c) \
	$(wildcard bench/*.c tests/fuzz/*.c tests/oracle/*.c) \
	$(if $(shell pkg-config --exists nbdkit && echo yes),blkfront/nbdkit/plugin.c)
objects: $(sources:%.c=$(BUILD)/%.o) $(tests:%=%.o)
model: ## check the notify/sleep protocol's model with spin
	$(Q)scripts/install-deps.sh test
	$(Q)scripts/model.sh
oracle: ## the store against Xen's own xenstored: the same requests to both
	$(Q)scripts/install-deps.sh build drivers test
	$(Q)$(MAKE) --no-print-directory $(oracle) \
		$(BUILD)/tests/oracle/hypervisor.so
	$(Q)BUILD=$(BUILD) scripts/oracle.sh $(SEEDS)
$(BUILD)/tests/oracle/hypervisor.so: tests/oracle/hypervisor.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -fPIC -shared -o $@ $<
bench: ## every benchmark, each against a peer measured in the same run
	$(Q)scripts/install-deps.sh build drivers run bench
	$(Q)$(MAKE) --no-print-directory all bench-programs
	$(Q)BUILD=$(BUILD) scripts/bench.sh
bench-programs: $(bench)

# libFuzzer is clang's: everything is built once more, with its coverage hooks.
.PHONY: fuzz fuzz-programs
FUZZ_SECONDS ?= 60
FUZZ ?= $(fuzzed)
fuzzers := $(fuzzed:%=$(BUILD)/tests/fuzz/fuzz_%)
fuzz: ## every fuzz target for FUZZ_SECONDS (FUZZ="blkif ring_back": only those)
	$(Q)scripts/install-deps.sh build drivers test
	$(Q)$(MAKE) --no-print-directory fuzz-programs BUILD=build/fuzz \
		CC=clang SAN=fuzzer-no-link,address,undefined
	$(Q)set -e; for t in $(FUZZ); do \
		mkdir -p build/fuzz/corpus/$$t; echo "== $$t"; \
		build/fuzz/tests/fuzz/fuzz_$$t -max_total_time=$(FUZZ_SECONDS) \
			-print_final_stats=1 build/fuzz/corpus/$$t \
			tests/fuzz/corpus/$$t; done
fuzz-programs: $(fuzzers)
$(fuzzers): %: %.o $(libs)
	$(Q)$(CC) $(LDFLAGS) -fsanitize=fuzzer -o $@ $< $(link) $(LIBS.tests)

.PHONY: tidy install uninstall
tidy: ## formatting, clang-tidy and gcc's analyser; changes nothing
	$(Q)scripts/install-deps.sh build drivers test tidy
	$(Q)scripts/tidy.sh
libexec = $(DESTDIR)$(PREFIX)/libexec/pvsplit
include = $(DESTDIR)$(PREFIX)/include/pvsplit
libdir  = $(DESTDIR)$(PREFIX)/lib
plugindir = $(DESTDIR)$(call pkg,--variable=plugindir,nbdkit)
manuals = $(wildcard man/*.[1-8])
install: all ## into DESTDIR/PREFIX
	install -d $(DESTDIR)$(PREFIX)/bin $(libexec)
	install -m 755 $(BUILD)/bin/pvsplit $(DESTDIR)$(PREFIX)/bin/
	install -m 755 $(filter-out %/pvsplit,$(bins)) $(libexec)/
	install -d $(include) $(libdir)/pkgconfig
	for f in $(fronts); do \
		install -m 644 $$f/$$f.h $(include)/ && \
		install -m 644 $(BUILD)/lib/libpvsplit-$$f.a $(libdir)/ && \
		sed 's,@PREFIX@,$(PREFIX),' $$f/pvsplit-$$f.pc.in \
			>$(libdir)/pkgconfig/pvsplit-$$f.pc || exit 1; done
	$(if $(NBDKIT),install -D -m 755 $(nbdkit_so) \
		$(plugindir)/$(notdir $(nbdkit_so)))
	for m in $(manuals); do install -D -m 644 $$m \
		$(DESTDIR)$(PREFIX)/share/man/man$${m##*.}/$${m##*/} || exit 1; done
uninstall: ## what install put there
	rm -f $(DESTDIR)$(PREFIX)/bin/pvsplit
	rm -f $(addprefix $(libexec)/,$(notdir $(filter-out %/pvsplit,$(bins))))
	rm -f $(fronts:%=$(include)/%.h) \
		$(addprefix $(libdir)/,$(notdir $(fronts_a))) \
		$(fronts:%=$(libdir)/pkgconfig/pvsplit-%.pc)
	-rmdir $(libexec) $(include)
	$(if $(NBDKIT),rm -f $(plugindir)/$(notdir $(nbdkit_so)))
	for m in $(manuals); do \
		rm -f $(DESTDIR)$(PREFIX)/share/man/man$${m##*.}/$${m##*/}; done

.PHONY: layers
layers: ## the dependency order above, enforced
	$(Q)$(foreach c,$(COMPONENTS) $(PLUGINS),scripts/check-layers.sh $(c) $(DEPS.$(c)) &&) true

.PHONY: clean help
clean: ## remove build/
	$(Q)rm -rf build
help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /  \1\t/p' $(MAKEFILE_LIST) | expand -t 14

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
