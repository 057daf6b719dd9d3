# The hub runs its TypeScript source as it is: the first stage only collects the packages.
FROM node:24-bookworm-slim AS packages
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
COPY bridges/homekit/package.json ./bridges/homekit/
COPY api/admin/package.json ./api/admin/
# The package `node` brings Node 24 to machines with an older one. This image is Node 24, and so needs neither it nor its install script.
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund \
 && rm -rf node_modules/node node_modules/node-bin-* node_modules/.bin/node

FROM node:24-bookworm-slim AS console
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
COPY bridges/homekit/package.json ./bridges/homekit/
COPY api ./api
RUN npm ci --ignore-scripts --no-audit --no-fund && node api/admin/build.ts

FROM node:24-bookworm-slim
ENV NODE_ENV=production \
    HEXA_HOST=0.0.0.0 \
    HEXA_DATA_DIR=/data
WORKDIR /app
# Owned by root: the hub cannot change its own code.
COPY --from=packages /app/node_modules ./node_modules
COPY package.json hexahub.js main.ts LICENSE ./
COPY core ./core
COPY store ./store
COPY broker ./broker
COPY rules ./rules
COPY bridges ./bridges
COPY api ./api
COPY --from=console /app/api/admin/dist ./api/admin/dist
COPY migrations ./migrations
COPY firmware ./firmware
# One start with nothing but a question fills the compile cache, so that no container has to strip types at its start.
RUN install -d -o node -g node -m 0700 /data \
 && HEXA_DATA_DIR=/tmp/warm-up HEXA_HTTP_PORT=0 HEXA_MQTT_PORT=0 HEXA_MQTTS_PORT=0 timeout -s TERM 20 node --expose-gc --max-semi-space-size=4 --v8-pool-size=1 --no-allocation-site-pretenuring hexahub.js serve --json | sed '/"event":"ready"/q' >/dev/null; rm -rf /tmp/warm-up
USER node
VOLUME /data
# HTTP and MQTT over WebSocket, MQTT, MQTT over TLS. Plain MQTT stays inside the container unless HEXA_MQTT_PLAIN=lan.
EXPOSE 8080 1883 8883
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s --start-interval=1s --retries=3 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.HEXA_HTTP_PORT || 8080}/health`, { signal: AbortSignal.timeout(4000) }).then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["node", "--expose-gc", "--max-semi-space-size=4", "--v8-pool-size=1", "--no-allocation-site-pretenuring", "hexahub.js"]
CMD ["serve"]
