# SPDX-License-Identifier: MIT
# One Makefile, no recursion into folders. `make help` lists the targets.

BUILD  ?= build/release
CFLAGS ?= -O2 -g
SAN    ?=
WERROR ?=
PREFIX ?= /usr/local
Q      := $(if $(V),,@)

# The architecture. A component may include only what its line names: a folder,
# or a single header. `make layers` enforces it.
DEPS.abi             :=
DEPS.util            :=
DEPS.platform        := abi util
DEPS.ring            := abi util
DEPS.grant           := abi util platform
DEPS.xenstore-lite   := abi util platform
DEPS.worker          := util
DEPS.xenbus          := abi util platform xenstore-lite/xs.h
DEPS.monitor         := abi util platform xenstore-lite/xs.h
DEPS.blkback         := abi util platform ring grant worker xenbus monitor \
	xenstore-lite/xs.h
DEPS.blkback/storage := util blkback/storage.h
DEPS.netback         := abi util platform ring grant worker xenbus monitor \
	xenstore-lite/xs.h
DEPS.netback/nic     := abi util netback/nic.h
DEPS.blkfront        := abi util platform ring grant xenbus xenstore-lite/xs.h
DEPS.netfront        := abi util platform ring grant xenbus xenstore-lite/xs.h
DEPS.pvsplit         := abi util platform xenbus xenstore-lite/xs.h
COMPONENTS := abi util platform ring grant xenstore-lite worker xenbus monitor \
	blkback blkback/storage netback netback/nic blkfront netfront pvsplit

# Programs: FOLDER/NAME is FOLDER/NAME.c plus the libraries, as BUILD/bin/NAME.
PROGRAMS := xenstore-lite/xenstored-lite blkback/blkbackd netback/netbackd \
	blkfront/blkfront-fuse netfront/netfront-tap pvsplit/pvsplit

pkg = $(shell pkg-config $(1) $(2))
LIBS.blkbackd      := $(call pkg,--libs,liburing)
LIBS.netbackd      := $(call pkg,--libs,libnl-route-3.0)
LIBS.blkfront-fuse := $(call pkg,--libs,fuse3)
LIBS.netfront-tap  := $(call pkg,--libs,libnl-route-3.0)
LIBS.pvsplit       := $(call pkg,--libs,libnl-route-3.0 jansson)
# Unit tests may reach any component.
LIBS.tests := -lcunit $(call pkg,--libs,liburing libnl-route-3.0 jansson)
PKG_CFLAGS := $(call pkg,--cflags,liburing libnl-route-3.0 jansson fuse3)

warnings := -Wall -Wextra $(WERROR) -Wshadow -Wvla -Wundef -Wformat=2 \
	-Wpointer-arith -Wwrite-strings -Wcast-qual -Wstrict-prototypes \
	-Wmissing-prototypes -Wimplicit-fallthrough -Wswitch-enum
ifneq ($(findstring clang,$(CC)),)
warnings += -Wthread-safety -Wmissing-variable-declarations
endif

override CFLAGS   += -std=gnu11 -fno-common -fstack-protector-strong $(warnings) \
	$(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer)
override CPPFLAGS += -I. -D_GNU_SOURCE -MMD -MP $(patsubst -I%,-isystem %,$(PKG_CFLAGS))
override LDFLAGS  += -pthread $(if $(SAN),-fsanitize=$(SAN))

lib     = $(BUILD)/lib$(subst /,-,$(1)).a
srcs    = $(filter-out $(PROGRAMS:%=%.c),$(wildcard $(1)/*.c))
objs    = $(patsubst %.c,$(BUILD)/%.o,$(call srcs,$(1)))
libs   := $(foreach c,$(COMPONENTS),$(call lib,$(c)))
link    = -Wl,--start-group $(libs) -Wl,--end-group $(LDLIBS)
bins   := $(foreach p,$(PROGRAMS),$(BUILD)/bin/$(notdir $(p)))
tests  := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/unit/*.c tests/abi/*.c \
	tests/sim/*.c tests/hostile/*.c))

.PHONY: all
.SECONDARY:
all: layers $(bins) ## build every library and program

define component
$(call lib,$(1)): $(call objs,$(1))
	$(Q)rm -f $$@ && $(AR) rc $$@ $$^
endef
$(foreach c,$(COMPONENTS),$(eval $(call component,$(c))))

define program
$(BUILD)/bin/$(notdir $(1)): $(BUILD)/$(1).o $(libs)
	@mkdir -p $$(@D)
	$(Q)$(CC) $(LDFLAGS) -o $$@ $$< $(link) $(LIBS.$(notdir $(1)))
endef
$(foreach p,$(PROGRAMS),$(eval $(call program,$(p))))

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(if $(V),,@echo '  CC   $<')
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<
$(tests): %: %.o $(libs)
	$(Q)$(CC) $(LDFLAGS) -o $@ $< $(link) $(LIBS.tests)

.PHONY: layers
layers: ## the dependency order above, enforced
	$(Q)$(foreach c,$(COMPONENTS),scripts/check-layers.sh $(c) $(DEPS.$(c)) &&) true

.PHONY: clean help
clean: ## remove build/
	$(Q)rm -rf build
help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /  \1\t/p' $(MAKEFILE_LIST) | expand -t 14

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
