# The service against an external PostgreSQL. Node 24 runs the TypeScript directly, so nothing is compiled.
FROM node:24-slim
ENV NODE_ENV=production
# kafkajs sets a timer into the past on every connection, which is harmless.
ENV NODE_OPTIONS=--disable-warning=TimeoutNegativeWarning
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# No install script is wanted and no optional package: the image has its own Node, and needs no embedded PostgreSQL.
RUN npm ci --omit=dev --omit=optional --ignore-scripts && npm cache clean --force
COPY . .
USER node
# The flag of bin/rescore.js, which on Node 24 runs the program in this process.
ENTRYPOINT ["node", "--max-semi-space-size=16", "bin/rescore.js"]
CMD ["start"]
