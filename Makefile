# Nothing but Python 3.11 to 3.13, git and make is needed. Each target is one script in tools/.
# Tests run in three processes on two cores, because they often wait for processes that they start.
PYTHON ?= python3
SEED ?= 2026

.PHONY: help demo test test-long coverage bench bench-detection mutants docs lint lock dist clean
help:       ## this list
	@sed -n 's/^\([a-z-]*\): *## /\1\t/p' Makefile
demo:       ## a project on real flights in build/demo, trained and recorded
	$(PYTHON) tools/demo.py
test:       ## all tests that cover a promise once
	$(PYTHON) tools/prepare.py -m pytest -n 3 $(ARGS)
test-long:  ## the whole of it; ARGS="--part 2/3" runs a third
	$(PYTHON) tools/prepare.py -m pytest -n 3 -m long $(ARGS)
coverage:   ## what the tests reach of the runner; ARGS=tests/runner/holds
	$(PYTHON) tools/coverage_report.py $(ARGS)
bench:      ## every claim of speed, beside its alternative; ARGS=models, templates or join
	$(PYTHON) tools/prepare.py benchmarks/bench.py $(ARGS)
bench-detection: ## what is found of injected faults; SEED=7 draws others, ARGS="--only tables"
	$(PYTHON) tools/prepare.py benchmarks/detection/page.py --seed $(SEED) $(ARGS)
mutants:    ## breaks one line at a time and sees that a test notices
	$(PYTHON) tools/prepare.py tests/mutants/run.py $(ARGS)
docs:       ## the site, in site/
	NO_MKDOCS_2_WARNING=1 $(PYTHON) tools/prepare.py -m mkdocs build --strict
lint:       ## style, format, types, layers, workflows
	$(PYTHON) tools/lint.py
lock:       ## the locks anew; ARGS=--upgrade takes newer releases
	$(PYTHON) tools/lock.py $(ARGS)
dist:       ## the runner as wheel and source distribution, in dist/
	$(PYTHON) tools/dist.py
clean:      ## removes what was built
	$(PYTHON) tools/clean.py
