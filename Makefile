# SPDX-License-Identifier: GPL-2.0-or-later
#
# The short way to everything: each target installs the packages it needs, configures where that has
# not been done, builds, and then does its work.  With nothing to do a target costs a second.
# Meson knows how things are built; nothing about that stands here.

BUILD ?= build
CONFIGURE_ARGS ?=
# More arguments for `meson test`, e.g. ARGS='-v zones' to run one test and see its output.
ARGS ?=
# How much longer than usual a test may take; sanitizers make programs slow.
TIMEOUT_MULTIPLIER ?= 1

# Run the tests that meson selects with $(1), then say what became of them all.
define run_tests
	@status=0; \
	UBSAN_OPTIONS="$${UBSAN_OPTIONS:-halt_on_error=1:print_stacktrace=1}" \
	meson test -C $(BUILD) --no-rebuild --print-errorlogs -t $(TIMEOUT_MULTIPLIER) $(1) $(ARGS) \
		</dev/null || status=1; \
	scripts/test-summary $(BUILD) || status=1; \
	exit $$status
endef

.DEFAULT_GOAL := all
.PHONY: all deps test-deps demo check check-unit check-iotests check-guest check-asan bench install clean \
	distclean help

all: $(BUILD)/build.ninja
	@ninja -C $(BUILD) --quiet

deps:
	@scripts/install-deps build

# Without the guest's packages its tests are skipped, and say so.
test-deps:
	@scripts/install-deps build test
	@tests/guest/fetch || true

# The folders stand here because meson lists the tests when it configures: a new one is noticed.
$(BUILD)/build.ninja: tests/qemu-iotests/tests tests/guest/cases | deps
	./configure --build-dir=$(BUILD) $(CONFIGURE_ARGS)
	@touch $@

demo: all
	@scripts/demo $(BUILD)

check: all test-deps
	$(call run_tests)

check-unit: all
	$(call run_tests,--suite unit)

check-iotests: all test-deps
	$(call run_tests,--suite iotests)

check-guest: all test-deps
	$(call run_tests,--suite guest)

check-asan:
	@$(MAKE) --no-print-directory check BUILD=$(BUILD)-asan TIMEOUT_MULTIPLIER=5 \
		CONFIGURE_ARGS='--enable-asan $(CONFIGURE_ARGS)'

bench: all
	@scripts/install-deps build test bench
	@tests/bench/run --build-dir=$(BUILD) $(ARGS)

# DESTDIR is honoured; the prefix is the one given to ./configure.
install: all
	@DESTDIR='$(DESTDIR)' meson install -C $(BUILD) --no-rebuild --quiet

clean:
	@if [ -e $(BUILD)/build.ninja ]; then ninja -C $(BUILD) --quiet -t clean; fi

distclean:
	rm -rf $(BUILD) $(BUILD)-asan

help:
	@echo 'make                 build everything in $(BUILD)/'
	@echo 'make demo            build, then show the life of a zoned image'
	@echo 'make check           build, then run every test; ARGS= goes to meson test'
	@echo 'make check-unit      only the unit tests'
	@echo 'make check-iotests   only the tests of the command-line tools'
	@echo 'make check-guest     only the tests in guests'
	@echo 'make check-asan      every test under AddressSanitizer and UndefinedBehaviorSanitizer'
	@echo 'make bench           the table of figures against raw files and stock tools; ARGS= goes to it'
	@echo 'make install         install under the configured prefix; DESTDIR= is honoured'
	@echo 'make clean           remove what was built'
	@echo 'make distclean       remove the build directories'
	@echo
	@echo './configure --help lists the options of the build; BUILD=DIR builds elsewhere.'
