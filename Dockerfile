# One image for web, media and workers; they differ in the command alone.
FROM node:22-bookworm-slim AS pages
WORKDIR /junier
COPY package.json package-lock.json .npmrc ./
COPY deploy/vendor.sh deploy/
RUN npm ci --omit=dev && sh deploy/vendor.sh

FROM python:3.11-slim-bookworm
RUN useradd --system --uid 10001 --create-home junier
WORKDIR /junier
COPY requirements.lock .
RUN pip install --no-cache-dir --require-hashes -r requirements.lock
COPY app app
COPY recordings recordings
COPY workers workers
COPY --from=pages /junier/app/static/vendor app/static/vendor
RUN install -d -o junier -g junier -m 0700 /var/lib/junier
USER junier
ENV JUNIER_DATA_DIR=/var/lib/junier PYTHONUNBUFFERED=1
ENTRYPOINT ["python", "-m", "app"]
CMD ["web"]
