# syntax=docker/dockerfile:1
FROM node:24-bookworm-slim AS build
# onnxruntime-node would download a CUDA provider when it is installed.
ENV ONNXRUNTIME_NODE_INSTALL=skip
WORKDIR /app
RUN apt-get update \
 && apt-get install -y --no-install-recommends gcc libc6-dev \
 && rm -rf /var/lib/apt/lists/*
COPY package.json package-lock.json .npmrc ./
RUN npm ci --ignore-scripts
COPY tsconfig.json tsconfig.build.json ./
COPY scripts ./scripts
COPY src ./src
COPY models ./models
RUN npm run build:native \
 && npm run build \
 && npm prune --omit=dev --ignore-scripts \
 && rm -rf node_modules/onnxruntime-node/bin/napi-v6/darwin node_modules/onnxruntime-node/bin/napi-v6/win32

FROM node:24-bookworm-slim
ENV NODE_ENV=production \
    UV_THREADPOOL_SIZE=8 \
    MALLOC_ARENA_MAX=2 \
    LD_PRELOAD=libjemalloc.so.2 \
    VIPS_BLOCK_UNTRUSTED=1 \
    STOPLINE_HOST=0.0.0.0 \
    STOPLINE_PORT=8080 \
    STOPLINE_PROFILE=/profiles/profile.stopline
RUN apt-get update \
 && apt-get install -y --no-install-recommends libjemalloc2 \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /app
COPY --from=build --chown=root:root /app/package.json ./package.json
COPY --from=build --chown=root:root /app/node_modules ./node_modules
COPY --from=build --chown=root:root /app/dist ./dist
COPY --from=build --chown=root:root /app/models ./models
COPY --from=build --chown=root:root /app/prebuilds ./prebuilds
# Nothing is written at run time: start the container with --read-only.
USER node
EXPOSE 8080
# Whether the process lives, over TLS too. Whether it should get requests is for who sends them: /health/ready.
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
  CMD ["node", "dist/server/healthcheck.entry.js"]
ENTRYPOINT ["node", "dist/cli/bin.js"]
CMD ["serve"]
