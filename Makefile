# Tollgate: `make help` lists what can be made.

PREFIX   ?= /usr/local
DESTDIR  ?=
BUILD    ?= build
CC       ?= gcc
JOBS     ?= $(shell nproc)
VERSION  := 0.1.0
REVISION := $(shell git rev-parse --short HEAD 2>/dev/null || echo unknown)

PACKAGES_BUILD := gcc make pkg-config libmicrohttpd-dev libcurl4-openssl-dev libhiredis-dev libcjson-dev libuv1-dev \
                  libconfuse-dev libpcre2-dev libxxhash-dev libzstd-dev libssl-dev libcrypt-dev zlib1g-dev libncurses-dev
PACKAGES_TEST  := check varnish openssl curl python3 procps redis-server faketime python3-jsonschema tmux \
                  prometheus python3-prometheus-client chromium
PACKAGES_LINT  := clang-format clang-tidy cppcheck shellcheck
PACKAGES_BENCH := nginx-light haproxy valgrind strace

PKGS   := libmicrohttpd libcurl libuv libconfuse libpcre2-8 libcjson libssl libcrypto libcrypt hiredis libzstd zlib ncursesw
WARN   := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wcast-qual -Wundef -Wformat=2
OPT    ?= -O2 -g
HARDEN := -fstack-protector-strong -D_FORTIFY_SOURCE=2 -fPIE
SANITIZE ?=

# Compiler and linker flags of the libraries are asked for only when something is compiled: `make deps` must work before
# pkg-config is there.
LIB_CFLAGS = $$(pkg-config --cflags $(PKGS))
LIB_LIBS   = $$(pkg-config --libs $(PKGS))
CPPFLAGS += -I. -D_GNU_SOURCE
CFLAGS   += -std=gnu11 $(OPT) $(WARN) $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-omit-frame-pointer,$(HARDEN))
LDFLAGS  += $(if $(SANITIZE),-fsanitize=$(SANITIZE),-pie -Wl,-z,relro,-z,now)
LDLIBS   += -lpthread -lm

LIB_SRC     := $(wildcard lib/*.c)
GATEWAY_SRC := $(filter-out gateway/main.c,$(wildcard gateway/*.c))
UNIT_SRC    := $(wildcard tests/unit/lib/test_*.c tests/unit/gateway/test_*.c)
SOAK_SRC    := $(wildcard tests/soak/*.c)
OBJ  := $(patsubst %.c,$(BUILD)/%.o,$(LIB_SRC) $(GATEWAY_SRC))
UNIT := $(patsubst %.c,$(BUILD)/%,$(UNIT_SRC))
C_FILES := $(wildcard lib/*.[ch] gateway/*.[ch] tests/unit/*.h tests/unit/*/*.c tests/fuzz/*.c tests/soak/*.c tests/bench/*.c \
             tests/fleet/*.c)

SUITES := unit e2e raw cache redis admin dashboard metrics trace debug protect fleet soak

.PHONY: help deps deps-test deps-lint deps-bench build run test $(SUITES) asan tsan fuzz bench lint format cover \
        install docker docker-test clean FORCE

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  %-12s %s\n", $$1, $$2}'

# ---- what is needed --------------------------------------------------------------------------------------------------

deps: ## install what the build needs (Debian packages)
	@sh tests/deps.sh $(PACKAGES_BUILD)

deps-test: deps
	@sh tests/deps.sh $(PACKAGES_TEST)

deps-lint: deps
	@sh tests/deps.sh $(PACKAGES_LINT)

deps-bench: deps
	@sh tests/deps.sh $(PACKAGES_BENCH)

# ---- build -----------------------------------------------------------------------------------------------------------

build: deps ## build build/tollgate
	@$(MAKE) --no-print-directory -j$(JOBS) $(BUILD)/tollgate

$(BUILD)/tollgate: $(BUILD)/gateway/main.o $(BUILD)/objects.a
	@echo "  link  $@"
	@$(CC) $(LDFLAGS) -o $@ $^ $(LIB_LIBS) $(LDLIBS)

# The revision is compiled into one file, anew when it has changed.
$(BUILD)/gateway/version.o: CPPFLAGS += -DTOLLGATE_VERSION='"$(VERSION)"' -DTOLLGATE_REVISION='"$(REVISION)"'
$(BUILD)/gateway/version.o: $(BUILD)/revision
$(BUILD)/revision: FORCE
	@mkdir -p $(@D)
	@echo '$(VERSION) $(REVISION)' | cmp -s - $@ || echo '$(VERSION) $(REVISION)' >$@
FORCE:

# What the binary carries: see gateway/assets.c.
ASSETS := conf/openapi.json $(wildcard gateway/dashboard/*)
$(BUILD)/gateway/assets.o: $(ASSETS)

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	@echo "  cc    $<"
	@$(CC) $(CPPFLAGS) $(LIB_CFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

# Kept for the next time, those of the tests too.
.PRECIOUS: $(BUILD)/%.o

$(BUILD)/tests/unit/%: $(BUILD)/tests/unit/%.o $(BUILD)/objects.a
	@echo "  link  $@"
	@$(CC) $(LDFLAGS) -o $@ $^ $(LIB_LIBS) $$(pkg-config --libs check) $(LDLIBS)

# An archive, so that a program links only what it uses.
$(BUILD)/objects.a: $(OBJ)
	@rm -f $@
	@ar rcs $@ $^

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)

# ---- run -------------------------------------------------------------------------------------------------------------

run: build ## start two demo backends and a gateway on 127.0.0.1:8080 (Ctrl-C stops all)
	@sh tests/demo.sh $(BUILD)/tollgate conf/demo.conf

# ---- test ------------------------------------------------------------------------------------------------------------

test: deps-test ## everything: unit, end to end, raw bytes, the cache, Redis, the admin port, the dashboard, metrics, traces, profiles, protection under load, a fleet, a short soak
	@$(MAKE) --no-print-directory -j$(JOBS) $(BUILD)/tollgate $(UNIT)
	@BUILD=$(BUILD) sh tests/run.sh $(SUITES)

unit: $(UNIT)
	@BUILD=$(BUILD) sh tests/run.sh unit

$(filter-out unit,$(SUITES)): $(BUILD)/tollgate
	@BUILD=$(BUILD) sh tests/run.sh $@

asan: deps-test ## everything under Address- and UndefinedBehaviorSanitizer
	@$(MAKE) --no-print-directory -j$(JOBS) BUILD=build-asan SANITIZE=address,undefined OPT='-O1 -g' \
	    build-asan/tollgate $(patsubst $(BUILD)/%,build-asan/%,$(UNIT))
	@BUILD=build-asan SANITIZED=1 sh tests/run.sh $(SUITES)

tsan: deps-test ## everything under ThreadSanitizer
	@$(MAKE) --no-print-directory -j$(JOBS) BUILD=build-tsan SANITIZE=thread OPT='-O1 -g' \
	    build-tsan/tollgate $(patsubst $(BUILD)/%,build-tsan/%,$(UNIT))
	@BUILD=build-tsan SANITIZED=1 sh tests/run.sh $(SUITES)

fuzz: deps-test ## fuzz every parser for T seconds in all (T=60)
	@sh tests/deps.sh clang
	@T=$(or $(T),60) sh tests/fuzz/run.sh

bench: deps-test deps-bench ## CPU time per request beside nginx and HAProxy
	@$(MAKE) --no-print-directory -j$(JOBS) $(BUILD)/tollgate
	@BUILD=$(BUILD) sh tests/bench/run.sh

cover: deps-test ## line coverage of the unit and end-to-end tests
	@sh tests/deps.sh gcovr
	@$(MAKE) --no-print-directory -j$(JOBS) BUILD=build-cover OPT='-O0 -g --coverage' LDFLAGS=--coverage \
	    build-cover/tollgate $(patsubst $(BUILD)/%,build-cover/%,$(UNIT))
	@BUILD=build-cover sh tests/run.sh unit e2e raw cache redis admin
	@gcovr -r . --object-directory build-cover -f 'lib/' -f 'gateway/' --print-summary -o build-cover/cover.txt

lint: deps-lint ## formatting, static analysis, shell scripts
	@sh tests/lint.sh

format: ## lay the sources out as .clang-format says
	clang-format -i $(C_FILES)

# ---- deliver ---------------------------------------------------------------------------------------------------------

install: $(BUILD)/tollgate ## install into PREFIX (/usr/local), under DESTDIR when given
	install -Dm755 $(BUILD)/tollgate $(DESTDIR)$(PREFIX)/bin/tollgate
	install -Dm644 conf/tollgate.conf $(DESTDIR)$(PREFIX)/share/doc/tollgate/tollgate.conf
	install -Dm644 conf/tollgate.1 $(DESTDIR)$(PREFIX)/share/man/man1/tollgate.1
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/system
	sed 's|@PREFIX@|$(PREFIX)|g' conf/tollgate.service > $(DESTDIR)$(PREFIX)/lib/systemd/system/tollgate.service

docker: ## build the container image
	docker build --build-arg VERSION=$(VERSION) --build-arg REVISION=$(REVISION) -t tollgate:$(VERSION) -t tollgate:latest -f docker/Dockerfile .

docker-test: ## bring the compose fleet up and check it
	@bash tests/docker/docker-test.sh

clean: ## remove what was built
	rm -rf build build-asan build-tsan build-cover
