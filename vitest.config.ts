/**
 * Test runner set-up. The suffix decides what a test may need: `.test.ts` is pure, `.pg.test.ts` gets a real
 * PostgreSQL (one server for the run, a database per test cloned from a migrated template; test/support/pg.ts),
 * `.kafka.test.ts` gets that and real Kafka brokers besides (test/support/kafka/kafka.ts).
 */
import { defineConfig } from 'vitest/config'

const common = { testTimeout: 60_000, hookTimeout: 120_000, exclude: ['node_modules/**', 'dist/**'] }

export default defineConfig({
  test: {
    reporters: ['default'],
    maxWorkers: 2,
    projects: [
      {
        test: {
          ...common,
          name: 'pure',
          include: ['**/*.test.ts'],
          exclude: [...common.exclude, '**/*.pg.test.ts', '**/*.kafka.test.ts'],
        },
      },
      {
        test: {
          ...common,
          name: 'pg',
          include: ['**/*.pg.test.ts'],
          testTimeout: 180_000,
          globalSetup: ['test/support/pg-server.ts'],
        },
      },
      {
        test: {
          ...common,
          name: 'kafka',
          include: ['**/*.kafka.test.ts'],
          testTimeout: 180_000,
          globalSetup: ['test/support/pg-server.ts', 'test/support/kafka/server.ts'],
        },
      },
    ],
  },
})
