# The programs, each alone in an otherwise empty image: docker build --target service1 (or service2, cli) .
#
# Each layer compiles code that changes less often than the code of the next layer: dependencies, the library, the
# programs. It builds with BuildKit and with the classic builder, which builds all stages above the target.

ARG RUST=rust:1.95-slim-bookworm
# Only for the images of examples/dockercoins.
ARG REDIS=redis:7
ARG PYTHON=python:3.11-slim-bookworm

# The workspace reduced to its dependencies: the manifests, and an empty program for each target.
FROM ${RUST} AS manifests
WORKDIR /workspace
COPY . .
RUN find . -type f -regextype posix-extended \
      ! -regex '\./(Cargo\.lock|(examples/)?([^/]+/)?Cargo\.toml)' \
      ! -regex '\./(examples/)?[^/]+/(src/(lib|main|bin/[^/]+)|(benches|examples|tests)/([^/]+|[^/]+/main))\.rs' -delete && \
    echo '#![allow(dead_code)] fn main() {}' | tee $(find . -name '*.rs') >/dev/null && \
    find . -type d -empty -delete

# Static binaries. With an explicit target, even the host's own, the flags do not apply to build scripts and macros.
# Without LTO, which would optimise all dependencies again after each edit: 60 s instead of 6.
FROM ${RUST} AS build
ENV CARGO_BUILD_TARGET=host-tuple RUSTFLAGS="-C target-feature=+crt-static" CARGO_PROFILE_RELEASE_LTO=false
WORKDIR /workspace
COPY --from=manifests /workspace .
RUN cargo build --release --locked -p service1 -p service2

# Cargo recompiles files newer than its last build; a copied file keeps the time of the checkout, so touch it.
COPY consul-wire/src consul-wire/src
COPY http-connections/src http-connections/src
COPY discovery-lib/src discovery-lib/src
COPY program/src program/src
RUN find consul-wire http-connections discovery-lib program -name '*.rs' -exec touch {} + && \
    cargo build --release --locked -p service1 -p service2

FROM build AS services
COPY service1/src service1/src
COPY service2/src service2/src
RUN find service1 service2 -name '*.rs' -exec touch {} + && cargo build --release --locked -p service1 -p service2 && \
    cp target/*/release/service1 target/*/release/service2 /

FROM scratch AS service1
COPY --from=services /service1 /service1
USER 65532:65532
EXPOSE 8001
HEALTHCHECK --interval=2s --timeout=2s --retries=10 CMD ["/service1", "health"]
ENTRYPOINT ["/service1"]

FROM scratch AS service2
COPY --from=services /service2 /service2
USER 65532:65532
EXPOSE 8002
HEALTHCHECK --interval=2s --timeout=2s --retries=10 CMD ["/service2", "health"]
ENTRYPOINT ["/service2"]

FROM build AS command
RUN cargo build --release --locked -p discovery-cli
COPY ambassador/src ambassador/src
COPY datagrams/src datagrams/src
COPY discovery-agent/src discovery-agent/src
COPY runner/src runner/src
COPY service1/src service1/src
COPY service2/src service2/src
COPY discovery-cli/src discovery-cli/src
RUN find ambassador datagrams discovery-agent discovery-cli runner service1 service2 -name '*.rs' -exec touch {} + && \
    cargo build --release --locked -p discovery-cli && \
    cp target/*/release/discovery /

# The command, for hosts without Rust: docker run --rm --network host discovery/cli resolve service2
FROM scratch AS cli
COPY --from=command /discovery /discovery
USER 65532:65532
ENTRYPOINT ["/discovery"]

# The services of examples/dockercoins: one image with four programs.
FROM build AS coins
RUN cargo build --release --locked -p dockercoins
COPY examples/dockercoins/src examples/dockercoins/src
RUN find examples -name '*.rs' -exec touch {} + && cargo build --release --locked -p dockercoins && \
    mkdir /coins && for name in rng hasher worker webui; do cp target/*/release/$name /coins/; done

FROM scratch AS dockercoins
COPY --from=coins /coins /
USER 65532:65532

# Its redis: the unmodified image, whose program is registered by the command.
FROM ${REDIS} AS dockercoins-redis
COPY --from=cli /discovery /usr/local/bin/discovery
USER redis
ENTRYPOINT ["discovery", "run", "redis", "--port", "6379", "--"]
CMD ["redis-server", "--appendonly", "yes", "--protected-mode", "no"]

# The same services as programs that know nothing of Consul.
FROM ${PYTHON} AS dockercoins-unmodified
COPY --from=cli /discovery /usr/local/bin/discovery
COPY examples/dockercoins/unmodified examples/dockercoins/src/webui/page.* /app/
USER 65532:65532
