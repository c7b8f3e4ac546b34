/** The conformance kit for connectors, as a user's project imports it: `rescore/conformance`. */
export * from './check.ts'
export { withScratchDatabase } from './database.ts'
export * from './fixture.ts'
export * from './fixture-server.ts'
export { CHECKS, type KitOptions, type Line, lineText, runConformance } from './kit.ts'
export * from './rest-fixture/index.ts'
