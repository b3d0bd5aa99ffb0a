# sqlite-lsm: `make` builds ./lsm.so; `make help` lists the rest.
# Everything built lies under build/<variant>/; only lsm.so and lsmtool stand at the top level.

ifeq ($(origin CC),default)
CC := gcc
endif
PYTHON ?= /usr/bin/python3
JOBS   ?= $(shell nproc 2>/dev/null || echo 2)
export PYTHON JOBS
# make V=1 shows the commands.
Q := $(if $(V),,@)

comma := ,

WARN := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wstrict-prototypes -Wmissing-prototypes -Wundef -Wvla \
        -Wwrite-strings -Wcast-qual -Wcast-align -Wformat=2 -Wimplicit-fallthrough -Wswitch-enum -Wnull-dereference -Werror
# cmocka's macros convert between integer types on purpose.
TEST_WARN := $(filter-out -Wpedantic -Wconversion -Wsign-conversion -Wcast-qual -Wnull-dereference,$(WARN))
BASE_FLAGS := -std=c11 -D_GNU_SOURCE -g -fPIC -fvisibility=hidden -pthread
LIBS := -llz4 -lzstd -lpthread
SO_FLAGS := -shared -Wl,-z,nodelete

CORE_SRC := $(sort $(shell find lsm_core -name '*.c'))
EXT_SRC := $(sort $(wildcard ext/*.c))
TEST_SRC := $(sort $(shell find unit_tests -name '*_test.c'))
SUPPORT_SRC := $(sort $(wildcard unit_tests/support/*.c))
# make fuzz FUZZ="log table" runs these only.
FUZZ_NAMES = $(or $(FUZZ),$(FUZZ_TARGETS))
# The simulated machine of the unit tests runs SQL, too.
FUZZ_KIT := fuzz/kit.c fuzz/stores.c unit_tests/support/machine.c unit_tests/support/disk_vfs.c
FUZZ_TARGETS := $(filter-out kit stores libfuzzer replay,$(patsubst fuzz/%.c,%,$(sort $(wildcard fuzz/*.c))))

.DEFAULT_GOAL := all
.PHONY: all setup demo check unit sql slt fuzz fuzz-sql check-sqlites kill torture disk crash faults matrix big bulk bench costs asan tsan tidy format clean help bench-full bench-programs coverage mutants clients power soak install uninstall
.DELETE_ON_ERROR:
.SECONDARY:

# ---- variants ----------------------------------------------------------------------------------------------------
# release: what users load; asserts off.   debug: unit tests; asserts on.   asan, tsan: the same under a sanitizer.   cov: with gcov's counters.
# $(call variant,name,flags,link flags of the shared object)
define variant
CORE_OBJ_$(1) := $$(CORE_SRC:%.c=build/$(1)/%.o)
EXT_OBJ_$(1) := $$(EXT_SRC:%.c=build/$(1)/%.o)
LINKED_OBJ_$(1) := $$(EXT_SRC:%.c=build/$(1)/linked/%.o)
SUPPORT_OBJ_$(1) := $$(SUPPORT_SRC:%.c=build/$(1)/%.o)
UNIT_$(1) := $$(TEST_SRC:unit_tests/%.c=build/$(1)/unit/%)

build/$(1)/unit_tests/%.o: unit_tests/%.c
	@mkdir -p $$(@D)
	@echo "  $$@"
	$$(Q)$$(CC) $$(BASE_FLAGS) $$(TEST_WARN) $(2) -DSQLITE_CORE -MMD -MP -c $$< -o $$@

build/$(1)/linked/%.o: %.c
	@mkdir -p $$(@D)
	@echo "  $$@"
	$$(Q)$$(CC) $$(BASE_FLAGS) $$(WARN) $(2) -DSQLITE_CORE -MMD -MP -c $$< -o $$@

build/$(1)/%.o: %.c
	@mkdir -p $$(@D)
	@echo "  $$@"
	$$(Q)$$(CC) $$(BASE_FLAGS) $$(WARN) $(2) -MMD -MP -c $$< -o $$@

build/$(1)/lsm.so: $$(CORE_OBJ_$(1)) $$(EXT_OBJ_$(1))
	@echo "  $$@"
	$$(Q)$$(CC) $(2) $$(SO_FLAGS) $(3) -o $$@ $$^ $$(LIBS)

# What sql_tests/fuzz/settings.py loads.
build/$(1)/settings.so: $$(CORE_OBJ_$(1)) $$(EXT_OBJ_$(1)) build/$(1)/sql_tests/fuzz/settings_open.o
	@echo "  $$@"
	$$(Q)$$(CC) $(2) $$(SO_FLAGS) $(3) -Wl,--wrap=lsm_store_open -o $$@ $$^ $$(LIBS)

build/$(1)/unit/%: build/$(1)/unit_tests/%.o $$(SUPPORT_OBJ_$(1)) $$(CORE_OBJ_$(1)) $$(LINKED_OBJ_$(1))
	@mkdir -p $$(@D)
	@echo "  $$@"
	$$(Q)$$(CC) $(2) -o $$@ $$^ -lcmocka -lsqlite3 -lm $$(LIBS)

build/$(1)/fuzz/%.o: fuzz/%.c
	@mkdir -p $$(@D)
	@echo "  $$@"
	$$(Q)$$(CC) $$(BASE_FLAGS) $$(TEST_WARN) $(2) -DSQLITE_CORE -MMD -MP -c $$< -o $$@

build/$(1)/fuzz/%: build/$(1)/fuzz/%.o build/$(1)/fuzz/replay.o $$(FUZZ_KIT:%.c=build/$(1)/%.o) $$(CORE_OBJ_$(1)) $$(LINKED_OBJ_$(1))
	@mkdir -p $$(@D)
	@echo "  $$@"
	$$(Q)$$(CC) $(2) -o $$@ $$^ -lsqlite3 -lm $$(LIBS)

-include $$(wildcard build/$(1)/fuzz/*.d build/$(1)/sql_tests/fuzz/*.d)
-include $$(CORE_OBJ_$(1):.o=.d) $$(EXT_OBJ_$(1):.o=.d) $$(LINKED_OBJ_$(1):.o=.d) $$(SUPPORT_OBJ_$(1):.o=.d) \
         $$(TEST_SRC:%.c=build/$(1)/%.d)
endef

$(eval $(call variant,release,-O2 -DNDEBUG,-Wl$(comma)-z$(comma)defs))
$(eval $(call variant,debug,-O1,))
$(eval $(call variant,asan,-O1 -fno-omit-frame-pointer -fsanitize=address$(comma)undefined -fno-sanitize-recover=all,))
$(eval $(call variant,tsan,-O1 -fno-omit-frame-pointer -fsanitize=thread,))
$(eval $(call variant,cov,-O0 --coverage -Wl$(comma)--wrap=_exit$(comma)-u$(comma)__gcov_dump,))

lsm.so: build/release/lsm.so
	@echo "  $@"
	@cp -f $< $@.new
	@mv -f $@.new $@

# The offline tool: the engine and the extension linked in.
TOOL_SRC := $(sort $(wildcard tools/lsmtool/*.c))
lsmtool: $(TOOL_SRC:%.c=build/release/linked/%.o) $(CORE_OBJ_release) $(LINKED_OBJ_release)
	@echo "  $@"
	$(Q)$(CC) -o $@.new $^ -lsqlite3 -lm $(LIBS)
	@mv -f $@.new $@
build/asan/lsmtool: $(TOOL_SRC:%.c=build/asan/linked/%.o) $(CORE_OBJ_asan) $(LINKED_OBJ_asan)
	@echo "  $@"
	$(Q)$(CC) -fsanitize=address,undefined -o $@ $^ -lsqlite3 -lm $(LIBS)
-include $(wildcard build/release/linked/tools/lsmtool/*.d build/asan/linked/tools/lsmtool/*.d)

# A client with SQLite and the extension linked in.
build/clients/static: build/release/linked/sql_tests/clients/programs/static.o $(CORE_OBJ_release) $(LINKED_OBJ_release)
	@mkdir -p $(@D)
	@echo "  $@"
	$(Q)$(CC) -o $@ $^ -Wl,-Bstatic -lsqlite3 -llz4 -lzstd -Wl,-Bdynamic -lm -lpthread -ldl

build/bench/%: build/release/bench/%.o $(CORE_OBJ_release)
	@mkdir -p $(@D)
	@echo "  $@"
	$(Q)$(CC) -o $@ $^ -lsqlite3 -lm $(LIBS)
-include $(wildcard build/release/bench/*.d build/release/bench/engine/*.d)

# The engine-level benchmark: one program for each engine, all of the same workloads. Peers are built by tools/peers, when asked (make bench-full).
ENGINE_OBJ := $(patsubst %,build/release/bench/engine/%.o,main workload mixed usage)
PEERS_HERE = $(patsubst build/peers/%/link,%,$(wildcard build/peers/*/link))

build/bench/engine_lsm: $(ENGINE_OBJ) build/release/bench/engine/adapter_lsm.o $(CORE_OBJ_release)
	@mkdir -p $(@D)
	@echo "  $@"
	$(Q)$(CC) -o $@ $^ -lm $(LIBS)

build/release/bench/engine/adapter_%.o: bench/engine/adapter_%.c build/peers/%/link
	@mkdir -p $(@D)
	@echo "  $@"
	$(Q)$(CC) $(BASE_FLAGS) $(WARN) -O2 -DNDEBUG -isystem build/peers/$*/include -DBENCH_PEER_VERSION='"$(shell cat build/peers/$*/version)"' -MMD -MP -c $< -o $@

build/bench/engine_%: $(ENGINE_OBJ) build/release/bench/engine/adapter_%.o
	@mkdir -p $(@D)
	@echo "  $@"
	$(Q)$(CC) -o $@ $^ -Lbuild/peers/$*/lib $$(cat build/peers/$*/link) -lm

# The targets of libFuzzer: clang, and its sanitizers in everything but SQLite.
FUZZ_CC ?= clang
FUZZ_FLAGS := -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
build/fuzz/%.o: %.c
	@mkdir -p $(@D)
	@echo "  $@"
	$(Q)$(FUZZ_CC) $(BASE_FLAGS) $(FUZZ_FLAGS) -fsanitize=fuzzer-no-link -DSQLITE_CORE -MMD -MP -c $< -o $@

build/fuzz/bin/%: build/fuzz/fuzz/%.o build/fuzz/fuzz/libfuzzer.o $(FUZZ_KIT:%.c=build/fuzz/%.o) $(CORE_SRC:%.c=build/fuzz/%.o) $(EXT_SRC:%.c=build/fuzz/%.o)
	@mkdir -p $(@D)
	@echo "  $@"
	$(Q)$(FUZZ_CC) $(FUZZ_FLAGS) -fsanitize=fuzzer -o $@ $^ -lsqlite3 -lm $(LIBS)
-include $(wildcard build/fuzz/*/*.d build/fuzz/lsm_core/*/*.d build/fuzz/unit_tests/support/*.d)

SLT_OBJ := $(patsubst %.c,build/release/%.o,$(sort $(wildcard sql_tests/slt/*.c)))
build/sql_tests/slt: $(SLT_OBJ)
	@mkdir -p $(@D)
	@echo "  $@"
	$(Q)$(CC) -o $@ $^ -lsqlite3
-include $(SLT_OBJ:.o=.d)

# The block device of sql_tests/disk.
build/sql_tests/device: build/release/sql_tests/disk/device.o
	@mkdir -p $(@D)
	@echo "  $@"
	$(Q)$(CC) -o $@ $^
-include build/release/sql_tests/disk/device.d

# ---- what people type --------------------------------------------------------------------------------------------
# Set-up runs first and the rest in a second make, because the compiler itself may be what is missing.

all:
	@tools/setup build --report
	@$(MAKE) --no-print-directory lsm.so lsmtool

setup:
	@tools/setup check

demo:
	@tools/setup demo
	@$(MAKE) --no-print-directory -j$(JOBS) lsm.so
	@tools/demo

check:
	@tools/setup check
	@$(MAKE) --no-print-directory -j$(JOBS) lsm.so lsmtool build/release/settings.so build/clients/static build/bench/sql_bench build/bench/engine_lsm build/bench/cost_bench build/bench/lone_bench build/bench/bulk_bench build/sql_tests/slt build/sql_tests/device $(UNIT_debug) $(FUZZ_TARGETS:%=build/debug/fuzz/%)
	@tools/check

unit:
	@tools/setup check
	@$(MAKE) --no-print-directory -j$(JOBS) $(UNIT_debug)
	@$(PYTHON) unit_tests/run build/debug/unit

sql:
	@tools/setup check
	@$(MAKE) --no-print-directory -j$(JOBS) lsm.so lsmtool build/release/settings.so build/clients/static build/sql_tests/slt build/sql_tests/device
	@$(PYTHON) sql_tests/run $(CASES)

slt:
	@tools/setup check
	@$(MAKE) --no-print-directory -j$(JOBS) lsm.so build/sql_tests/slt
	@$(PYTHON) sql_tests/slt/corpus.py

fuzz:
	@tools/setup fuzz
	@$(MAKE) --no-print-directory -j$(JOBS) $(FUZZ_NAMES:%=build/fuzz/bin/%) $(FUZZ_NAMES:%=build/debug/fuzz/%)
	@tools/fuzz search $(FUZZ_NAMES)

fuzz-sql:
	@tools/setup check
	@$(MAKE) --no-print-directory -j$(JOBS) lsm.so
	@$(if $(PLANTED),$(PYTHON) sql_tests/fuzz/planted.py,$(PYTHON) sql_tests/fuzz/fuzz.py --seconds $${FUZZ_SECONDS:-3600})

clients:
	@tools/setup check
	@$(MAKE) --no-print-directory -j$(JOBS) lsm.so build/clients/static
	@$(PYTHON) tools/clients $(CLIENTS)

check-sqlites:
	@tools/setup check
	@$(MAKE) --no-print-directory -j$(JOBS) lsm.so lsmtool build/release/settings.so build/sql_tests/slt build/sql_tests/device
	@tools/sqlites check $(CASES)

kill:
	@tools/setup check
	@$(MAKE) --no-print-directory -j$(JOBS) lsm.so
	@$(PYTHON) sql_tests/kill/kill_test.py --kills 200

torture:
	@tools/setup check
	@$(MAKE) --no-print-directory -j$(JOBS) lsm.so
	@$(PYTHON) sql_tests/torture/torture.py --seconds $${TORTURE_SECONDS:-240}

disk:
	@tools/setup check
	@tools/setup packages xfsprogs btrfs-progs || true
	@$(MAKE) --no-print-directory -j$(JOBS) lsm.so build/sql_tests/device
	@$(PYTHON) sql_tests/disk/disk.py --seconds $${DISK_SECONDS:-600} $(DISK)

soak:
	@tools/setup check
	@$(MAKE) --no-print-directory -j$(JOBS) lsm.so
	@$(PYTHON) sql_tests/soak/soak.py --minutes $${SOAK_MINUTES:-60}

crash:
	@tools/setup check
	@$(MAKE) --no-print-directory -j$(JOBS) build/debug/unit/store/crash_test
	@LSM_CRASH_STATES=$${LSM_CRASH_STATES:-100000} build/debug/unit/store/crash_test

faults:
	@tools/setup check
	@$(MAKE) --no-print-directory -j$(JOBS) build/debug/unit/store/fault_test build/debug/unit/ext/fault_test
	@build/debug/unit/store/fault_test && LSM_FAULTS=$${LSM_FAULTS:-7} build/debug/unit/ext/fault_test

# A million states: seven in ten below the engine, the rest under SQL. LSM_TEST_SEED makes it another million.
power:
	@mkdir -p build/log
	@($(MAKE) --no-print-directory crash LSM_CRASH_STATES=$${LSM_CRASH_STATES:-700000} && $(MAKE) --no-print-directory matrix LSM_MATRIX=$${LSM_MATRIX:-350}) | tee build/log/power.log
	@awk '/states after a power cut/ {states += $$3 + $$9; bad += $$(NF - 1)} $$1 == "all" {states += $$4 + $$6; bad += $$(NF - 1)} \
	    /FAILED/ {bad++} END {printf "%d states after a crash, %d bad\n", states, bad; exit bad != 0 || states == 0}' build/log/power.log

matrix:
	@tools/setup check
	@$(MAKE) --no-print-directory -j$(JOBS) build/debug/unit/ext/crash_matrix_test build/debug/unit/ext/crash_traps_test
	@LSM_MATRIX=$${LSM_MATRIX:-1000} build/debug/unit/ext/crash_matrix_test && LSM_MATRIX=$${LSM_MATRIX:-1000} build/debug/unit/ext/crash_traps_test

interleave:
	@tools/setup check
	@$(MAKE) --no-print-directory -j$(JOBS) build/debug/unit/share/interleave_test build/debug/unit/store/interleave_test
	@LSM_INTERLEAVE=$${LSM_INTERLEAVE:-3} build/debug/unit/share/interleave_test
	@LSM_INTERLEAVE=$${LSM_INTERLEAVE_STORE:-2} build/debug/unit/store/interleave_test

big:
	@tools/setup check
	@$(MAKE) --no-print-directory -j$(JOBS) lsm.so lsmtool build/bench/sql_bench
	@sql_tests/big

bulk:
	@tools/setup check
	@$(MAKE) --no-print-directory -j$(JOBS) lsm.so build/bench/bulk_bench
	@mkdir -p build/bulk
	@build/bench/bulk_bench --extension ./lsm --dir build/bulk --rows $${BULK_ROWS:-20000000}

bench:
	@tools/setup check
	@$(MAKE) --no-print-directory -j$(JOBS) bench-programs
	@bench/compare $(if $(BENCH_ROWS),--rows $(BENCH_ROWS))
	@build/bench/sql_bench --extension ./lsm

bench-programs: lsm.so build/bench/sql_bench build/bench/engine_lsm $(PEERS_HERE:%=build/bench/engine_%)

# Peers that cannot be had are named as absent; the rest is measured without them.
bench-full:
	@tools/setup check
	-@tools/peers
	@$(MAKE) --no-print-directory -j$(JOBS) bench-programs
	@bench/compare --rows $${BENCH_ROWS:-1000000} --rounds 5 --groups seq,seqbatch,randbatch,random,sync,cold,ycsb --csv build/bench/engine.csv
	@bench/compare --rows $${BENCH_ROWS:-1000000} --rounds 3 --groups random --compress --csv build/bench/engine-lz4.csv
	@build/bench/sql_bench --extension ./lsm $(patsubst %.so,--lsm1 %,$(wildcard build/peers/lsm1/lib/lsm1.so)) --rows $${BENCH_ROWS:-1000000} --runs 5

costs:
	@tools/setup check
	@$(MAKE) --no-print-directory -j$(JOBS) lsm.so build/bench/cost_bench build/bench/lone_bench
	@build/bench/cost_bench --extension ./lsm
	@build/bench/lone_bench --extension ./lsm

asan:
	@tools/setup check
	@$(MAKE) --no-print-directory -j$(JOBS) build/asan/lsm.so build/asan/settings.so lsmtool build/asan/lsmtool build/sql_tests/slt build/sql_tests/device $(UNIT_asan)
	@tools/sanitize asan

tsan:
	@tools/setup check
	@$(MAKE) --no-print-directory -j$(JOBS) build/tsan/lsm.so build/tsan/settings.so lsmtool build/sql_tests/slt build/sql_tests/device $(UNIT_tsan)
	@tools/sanitize tsan

coverage:
	@tools/setup check
	@$(MAKE) --no-print-directory -j$(JOBS) build/cov/lsm.so build/cov/settings.so lsmtool build/sql_tests/slt build/sql_tests/device $(UNIT_cov) $(FUZZ_TARGETS:%=build/cov/fuzz/%)
	@$(PYTHON) tools/coverage

mutants:
	@tools/setup check
	@$(PYTHON) tools/mutants

tidy:
	@$(PYTHON) tools/tidy --sizes

format:
	@$(PYTHON) tools/tidy --format

# ---- into the system --------------------------------------------------------------------------------------------------
# PREFIX, LIBDIR and DESTDIR as everywhere. The library's own name is lsm.so; liblsm.so is for hosts that load by bare name, which the linker finds in
# ld.so.cache under names that begin with lib.
PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
BINDIR ?= $(PREFIX)/bin
MANDIR ?= $(PREFIX)/share/man
DOCDIR ?= $(PREFIX)/share/doc/sqlite-lsm
INSTALLED := $(LIBDIR)/sqlite3/lsm.so $(LIBDIR)/liblsm.so $(BINDIR)/lsmtool $(MANDIR)/man7/lsm.7 $(MANDIR)/man1/lsmtool.1

install: lsm.so lsmtool
	@install -d "$(DESTDIR)$(LIBDIR)/sqlite3" "$(DESTDIR)$(BINDIR)" "$(DESTDIR)$(MANDIR)/man7" "$(DESTDIR)$(MANDIR)/man1" "$(DESTDIR)$(DOCDIR)"
	@install -m 644 lsm.so "$(DESTDIR)$(LIBDIR)/sqlite3/lsm.so.new"
	@mv -f "$(DESTDIR)$(LIBDIR)/sqlite3/lsm.so.new" "$(DESTDIR)$(LIBDIR)/sqlite3/lsm.so"
	@ln -sfn sqlite3/lsm.so "$(DESTDIR)$(LIBDIR)/liblsm.so"
	@install -m 755 lsmtool "$(DESTDIR)$(BINDIR)/lsmtool"
	@install -m 644 docs/man/lsm.7 "$(DESTDIR)$(MANDIR)/man7/lsm.7"
	@install -m 644 docs/man/lsmtool.1 "$(DESTDIR)$(MANDIR)/man1/lsmtool.1"
	@install -m 644 README.md CHANGELOG.md LICENSE docs/sql.md docs/operations.md docs/performance.md "$(DESTDIR)$(DOCDIR)"
	@[ -n "$(DESTDIR)" ] || ldconfig 2>/dev/null || echo "ldconfig could not be run: '.load liblsm' may need the path"
	@printf '  %s\n' $(INSTALLED:%=$(DESTDIR)%)

# A database in use keeps the library it has loaded.
uninstall:
	rm -f $(INSTALLED:%="$(DESTDIR)%")
	rm -rf "$(DESTDIR)$(DOCDIR)"
	@rmdir "$(DESTDIR)$(LIBDIR)/sqlite3" 2>/dev/null || true
	@[ -n "$(DESTDIR)" ] || ldconfig 2>/dev/null || true

clean:
	rm -rf build lsm.so lsm.so.new lsmtool lsmtool.new

help:
	@echo 'make          build ./lsm.so and ./lsmtool (says which packages are missing)'
	@echo 'make demo     a real job in the sqlite3 shell, with a crash in the middle (installs what is missing on Debian)'
	@echo 'make check    all tests; the last line is "N passed, N failed" (installs what is missing on Debian)'
	@echo 'make unit     unit tests only          make sql      SQL tests only (CASES=word narrows them)'
	@echo 'make slt      the sqllogictest corpus in ../shared/slt or SLT_DIR, against ordinary tables'
	@echo 'make fuzz     each target of fuzz/ for FUZZ_SECONDS (600) with libFuzzer, ASan and UBSan (installs clang); FUZZ="log table" narrows'
	@echo 'make fuzz-sql random SQL on twin tables for FUZZ_SECONDS (3600); PLANTED=1: does it find bugs that are planted?'
	@echo 'make clients  the scenario of all clients that can load extensions, 16 of them; installs them from Debian and npm (CLIENTS=word narrows)'
	@echo 'make check-sqlites  the SQL tests against the SQLite of Debian 12, 13 and sid (built from their source packages)'
	@echo 'make kill     kill -9 at 200 random moments at OFF, NORMAL and FULL'
	@echo 'make torture  several processes over one database, killed and stopped at random (TORTURE_SECONDS=N, 240 if not said)'
	@echo 'make disk     ext4, XFS and btrfs on a block device that is cut, or fails, beneath a working database (DISK_SECONDS=N, 600 if not said; as root)'
	@echo 'make soak     mixed load for an hour: memory and files must not grow (SOAK_MINUTES=N)'
	@echo 'make crash    100,000 states that a power cut can leave (LSM_CRASH_STATES=N for more)'
	@echo 'make faults   operations and allocations that fail, once and for good, under the engine and under SQL (LSM_FAULTS=N: every N-th, 7 if not said)'
	@echo 'make matrix   crashes at each step of commits, ordinary and LSM tables together, in all journal modes (LSM_MATRIX=N states a cell)'
	@echo 'make power    crash and matrix together: a million states, by LSM_CRASH_STATES=700000 and LSM_MATRIX=350'
	@echo 'make interleave   processes that share a store, in every order that 3 preemptions, kills and stops make (LSM_INTERLEAVE=n)'
	@echo 'make big      2,000,000 rows against an ordinary table: equal, and how much faster'
	@echo 'make bulk     20,000,000 rows in one transaction: memory, time, bytes written, rollback, kill -9 (BULK_ROWS=N)'
	@echo 'make bench    engine and SQL benchmarks (minutes; BENCH_ROWS=N), beside those peers that are there'
	@echo 'make bench-full  builds RocksDB, LevelDB and LMDB first (tools/peers: an hour), and measures longer'
	@echo 'make costs    what commits, views, processes and system calls cost, beside ordinary tables'
	@echo 'make asan     unit and SQL tests under AddressSanitizer and UBSan;  make tsan: under ThreadSanitizer'
	@echo 'make coverage  lines and branches that the tests reach, file by file (tools/coverage report FILE tells which they do not)'
	@echo 'make mutants  does a test fail when a sync, a publication or a check is left out? One at a time; an hour or more'
	@echo 'make tidy     layer rules, and the size of files and functions'
	@echo 'make install  lsm.so, lsmtool and their manual pages into PREFIX (/usr/local), below DESTDIR;  make uninstall removes them'
	@echo 'make format   clang-format;  make clean;  make setup: install what the tests need'
