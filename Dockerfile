# The service against an external PostgreSQL. Node 24 runs the TypeScript directly, so nothing is compiled.
FROM node:24-slim
ENV NODE_ENV=production
# kafkajs sets a timer into the past on every connection, which is harmless.
ENV NODE_OPTIONS=--disable-warning=TimeoutNegativeWarning
# Other containers ask for health and metrics; publish the port only where you want them read.
ENV RESCORE_METRICS_HOST=0.0.0.0
EXPOSE 9464
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# No install script is wanted and no optional package: the image has its own Node, and needs no embedded PostgreSQL.
RUN npm ci --omit=dev --omit=optional --ignore-scripts && npm cache clean --force
COPY . .
USER node
# Unhealthy means not ready: starting, stopping, a part that does not run, a database that does not answer.
HEALTHCHECK --interval=10s --timeout=8s --start-period=60s --retries=3 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.RESCORE_METRICS_PORT || 9464}/readyz`).then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
# The flag of bin/rescore.js, which on Node 24 runs the program in this process.
ENTRYPOINT ["node", "--max-semi-space-size=16", "bin/rescore.js"]
CMD ["start"]
