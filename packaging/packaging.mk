# Packages of the release binary, for machines without a compiler. docs/install.md says how each is used.

PACKAGE_EPOCH = $(shell git log -1 --format=%ct)
DEB := .build/packages/ensign_$(VERSION)_$(shell dpkg --print-architecture 2>/dev/null).deb
IMAGE := .build/packages/ensign-$(VERSION)-oci
BASE := .build/image-base.tar

.PHONY: dist deb wheel image packages test-packages

dist: ## Make a tarball of what install puts in place, with the licence, the documentation and the clients
	rm -rf .build/dist && $(MAKE) install DESTDIR=$(CURDIR)/.build/dist/ensign-$(VERSION) PREFIX=
	install -d .build/dist/ensign-$(VERSION)/clients/python .build/dist/ensign-$(VERSION)/clients/javascript
	install -m 644 clients/python/ensign.py clients/python/py.typed clients/python/pyproject.toml \
		.build/dist/ensign-$(VERSION)/clients/python
	install -m 644 clients/javascript/ensign.mjs clients/javascript/ensign.d.mts clients/javascript/package.json \
		.build/dist/ensign-$(VERSION)/clients/javascript
	cp -r LICENSE README.md CHANGELOG.md docs hooks .build/dist/ensign-$(VERSION)
	install -d .build/packages
	tar -C .build/dist --owner=0 --group=0 --sort=name --mtime=@$(PACKAGE_EPOCH) -c ensign-$(VERSION) \
		| gzip -9n > .build/packages/ensign-$(VERSION)-linux-$$(uname -m).tar.gz
	@ls -l .build/packages/ensign-$(VERSION)-linux-*.tar.gz

deb: build ## Make a Debian package
	SOURCE_DATE_EPOCH=$(PACKAGE_EPOCH) sh packaging/deb.sh $(BINARY) $(VERSION) $(DEB)

wheel: build ## Make a wheel, by which pip installs the binary
	SOURCE_DATE_EPOCH=$(PACKAGE_EPOCH) python3 packaging/wheel.py $(BINARY) $(VERSION) .build/packages

# Debian without its package manager's lists, documentation and sources: what git, ssh and curl need, and a shell.
$(BASE):
	@SUDO="$(SUDO)" sh Tests/install.sh mmdebstrap
	SOURCE_DATE_EPOCH=$(PACKAGE_EPOCH) $(SUDO) mmdebstrap --quiet --format=tar --variant=essential \
		--include=git,openssh-client,ca-certificates,curl \
		--dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
		--dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
		--customize-hook='rm -rf "$$1"/etc/apt/sources.list "$$1"/etc/apt/sources.list.d/* "$$1"/etc/apt/apt.conf.d/99* "$$1"/var/log/*' \
		--customize-hook='rm -f "$$1"/etc/hostname "$$1"/etc/resolv.conf "$$1"/etc/machine-id' \
		$$(. /etc/os-release && echo $$VERSION_CODENAME) $@.new
	mv $@.new $@

image: deb $(BASE) ## Make an OCI image, without any container engine
	SOURCE_DATE_EPOCH=$(PACKAGE_EPOCH) python3 packaging/image.py $(DEB) $(BASE) $(VERSION) $(IMAGE)

packages: dist deb wheel image ## Make all of them

test-packages: packages ## Install and run each package with tools that others wrote
	@SUDO="$(SUDO)" sh Tests/install.sh lintian skopeo umoci
	sh packaging/check.sh $(VERSION) $(DEB) $(IMAGE) .build/packages
