# The service against an external PostgreSQL. Node 24 runs the TypeScript directly, so nothing is compiled.
FROM node:24-slim
ENV NODE_ENV=production
WORKDIR /app
COPY package.json package-lock.json ./
# Only onnxruntime-node's install script is wanted: the image has its own Node and needs no embedded PostgreSQL.
RUN npm ci --omit=dev --ignore-scripts && npm rebuild onnxruntime-node && npm cache clean --force
COPY . .
USER node
ENTRYPOINT ["node", "bin/rescore.js"]
CMD ["start"]
