# Everything here works in .venv, which the first target that needs it sets up with the versions of constraints.txt.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
# Tests and suites get their parallelism from processes; a thread pool in each would fight over the cores.
export OMP_NUM_THREADS ?= 1

.PHONY: quick test lint axe bench docs clean

quick: .venv/.quick  ## run the quick suite and render its report
	$(BIN)/spikemark run quick --out out/quick
	$(BIN)/spikemark report out/quick --out out/report
	@echo "records: out/quick"
	@echo "report:  out/report/quick.html (open it in a browser), out/report/quick.md"

test: $(READY)  ## run all tests, on all cores
	$(BIN)/python -m pytest -n auto

lint: $(READY)  ## style, types and the wall between harness and adapters
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

axe: build/axe/node_modules/axe-core/axe.min.js  ## Deque's accessibility rules, which the browser tests apply where they are

build/axe/node_modules/axe-core/axe.min.js:
	npm install --silent --no-audit --no-fund --prefix build/axe axe-core@4.14.1

bench: $(READY)  ## measure; prints ratios, asserts nothing about time
	$(BIN)/python -m pytest tests/benchmarks --benchmark-only -s

docs: .venv/.docs  ## the documentation site, in build/documentation
	rm -rf build/pages && mkdir -p build/pages
	cp -r docs reports build/pages && cp README.md build/pages/index.md
	cp bench/spikemark/report/glossary.txt build/pages/docs
	cp CONTRIBUTING.md CHANGELOG.md LICENSE SECURITY.md build/pages
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

# Without compiling what nobody may import, which takes 0.4 GB and a good part of the time.
PIP := $(BIN)/python -m pip install --no-compile --quiet --disable-pip-version-check --constraint constraints.txt

# Each target sets up what it needs and no more: the frameworks of the suite `quick`, or everything.
.venv/.quick: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) --editable '.[spikingjelly,snntorch,norse,cluster,report]'
	touch $@

$(READY): .venv/.quick
	$(PIP) --editable '.[all,test,lint]'
	# A peer that counts are checked against; its dependencies would pull in packages that nothing here needs.
	$(PIP) --no-deps neurobench==2.3.0
	touch $@

.venv/.docs: .venv/.quick
	$(PIP) --editable '.[docs]'
	touch $@

clean:
	rm -rf .venv .tox out build .pytest_cache .mypy_cache .ruff_cache .hypothesis
