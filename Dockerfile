# API and worker in one image: the command says which. TypeScript is run as it is, by tsx.
FROM node:20-bookworm-slim

# The Temporal SDK's native part checks TLS servers against the system's certificates.
RUN apt-get update \
  && apt-get install --yes --no-install-recommends ca-certificates \
  && rm -rf /var/lib/apt/lists/*

WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev

COPY tsconfig.json ./
COPY domain domain
COPY config config
COPY store store
COPY connectors connectors
COPY activities activities
COPY workflows workflows
COPY worker worker
COPY api api

ENV NODE_ENV=production
USER node
CMD ["node", "--import", "tsx", "api/server.ts"]
