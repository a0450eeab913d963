# One image for web, media and workers; they differ in the command alone. It runs as its own user on a root file system
# that may be read-only; what it keeps is in /var/lib/junier.
FROM node:22-bookworm-slim AS pages
WORKDIR /junier
COPY package.json package-lock.json .npmrc ./
COPY deploy/vendor.sh deploy/
RUN npm ci --omit=dev && sh deploy/vendor.sh

FROM python:3.11-slim-bookworm AS packages
COPY requirements-run.lock .
RUN python -m venv --without-pip /packages \
 && pip --python /packages/bin/python install --no-cache-dir --require-hashes --only-binary :all: -r requirements-run.lock

FROM python:3.11-slim-bookworm
RUN useradd --system --uid 10001 --create-home junier \
 && install -d -o junier -g junier -m 0700 /var/lib/junier
WORKDIR /junier
COPY --from=packages /packages /packages
COPY app app
COPY recordings recordings
COPY workers workers
COPY --from=pages /junier/app/static/vendor app/static/vendor
USER junier
ENV PATH=/packages/bin:/usr/local/bin:/usr/bin:/bin JUNIER_DATA_DIR=/var/lib/junier HF_HOME=/var/lib/junier/models PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
STOPSIGNAL SIGTERM
ENTRYPOINT ["python", "-m", "app"]
CMD ["web"]
