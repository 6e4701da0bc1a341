# Two stages: the wheel and its environment are built in the first and copied into the second, which has neither compiler
# nor pip's caches. BASE is any Debian-like image with Python 3.11 or later and its venv module.
ARG BASE=python:3.13-slim

FROM ${BASE} AS build
WORKDIR /src
COPY requirements.lock pyproject.toml README.md ./
RUN python3 -m venv /opt/longshore \
 && /opt/longshore/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements.lock
COPY base base
COPY store store
COPY aws aws
COPY auth auth
COPY registry registry
COPY server server
COPY config config
RUN /opt/longshore/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps .

FROM ${BASE}
RUN groupadd --system --gid 10001 longshore \
 && useradd --system --uid 10001 --gid longshore --home-dir /data --shell /usr/sbin/nologin longshore \
 && install -d -o longshore -g longshore -m 0700 /data
COPY --from=build /opt/longshore /opt/longshore
ENV PATH=/opt/longshore/bin:$PATH \
    LONGSHORE_SERVER__HOST=0.0.0.0 \
    LONGSHORE_SERVER__PORT=5000 \
    LONGSHORE_SERVER__DATA=/data
USER longshore
VOLUME /data
EXPOSE 5000
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s \
    CMD ["/opt/longshore/bin/python", "-m", "server.health"]
ENTRYPOINT ["longshore"]
CMD ["serve"]
