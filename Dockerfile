# A small image of any node: district, town or village. Built from this checkout, run as nobody special.
FROM python:3.11-slim-bookworm AS build
WORKDIR /src
RUN python -m venv /opt/sanji
COPY requirements.lock ./
# The lock names hashes: what is installed is what was tested. Tools for tests come along and go again.
RUN /opt/sanji/bin/pip install --no-cache-dir --require-hashes --no-deps -r requirements.lock \
    && /opt/sanji/bin/pip uninstall --yes mypy pytest playwright ruff schemathesis hypothesis
COPY . .
RUN /opt/sanji/bin/pip install --no-cache-dir --no-deps --no-build-isolation . \
    && /opt/sanji/bin/python -m compileall -q /opt/sanji/lib

FROM python:3.11-slim-bookworm
RUN useradd --system --uid 10001 --create-home --home-dir /home/sanji sanji \
    && install -d -o sanji -g sanji -m 0700 /home/sanji/node /homes \
    && install -d -o sanji -g sanji -m 0755 /broker
# An empty volume takes its owner from the folder over which it is mounted.
COPY --from=build /opt/sanji /opt/sanji
ENV PATH=/opt/sanji/bin:$PATH PYTHONUNBUFFERED=1 SANJI_HOME=/home/sanji/node
USER sanji
WORKDIR /home/sanji
EXPOSE 8340
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8340/health', timeout=4)"]
ENTRYPOINT []
CMD ["district", "serve", "--insecure"]
