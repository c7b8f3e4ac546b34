/**
 * The `rescore` program: parses, runs one command, and turns whatever comes of it into a line and an exit code.
 * Invariant: every failure is printed with code, message and mend; the first Ctrl-C asks, the second forces.
 */
import { Command, CommanderError } from 'commander'
import { backfillCommand, backfillsCommand } from './backfill.ts'
import { connectorCommand } from './connector.ts'
import { connectorsCommand } from './connectors.ts'
import { datasetCommand } from './dataset.ts'
import { deliverCommand } from './deliver.ts'
import { devCommand } from './dev.ts'
import { doctorCommand } from './doctor.ts'
import { equivalentCommand } from './equivalent.ts'
import { eraseCommand } from './erase.ts'
import { EXIT, exitCodeOf, explained, interruptedCode, isDrainTimeout } from './exit.ts'
import { expectationsCommand } from './expectations.ts'
import { explainCommand } from './explain.ts'
import { featuresCommand } from './features.ts'
import { historyCommand } from './history.ts'
import { initCommand } from './init.ts'
import { lineageCommand } from './lineage.ts'
import { migrateCommand } from './migrate.ts'
import { printError } from './output.ts'
import { planCommand } from './plan.ts'
import { pruneCommand } from './prune.ts'
import { rejectsCommand } from './rejects.ts'
import { resyncCommand } from './resync.ts'
import { retentionCommand } from './retention.ts'
import { onSignals } from './signals.ts'
import { startCommand } from './start.ts'
import { statusCommand } from './status.ts'
import { syncCommand } from './sync.ts'
import { topicsCommand } from './topics.ts'
import { unpublishedCommand } from './unpublished.ts'
import { verifyCommand } from './verify.ts'
import { waitCommand } from './wait.ts'

export function createProgram(signal: AbortSignal): Command {
  const program = new Command('rescore')
    .enablePositionalOptions()
    .description('Keeps every ML classification in a Postgres database true to the CRM')
    .addHelpText(
      'after',
      '\nEach command has --help with examples. Exit codes: 0 ok, 1 failed, 2 usage or configuration, 3 problems found, 4 not reachable.',
    )
  const commands = [
    initCommand(),
    devCommand(signal),
    startCommand(signal),
    migrateCommand(),
    statusCommand(),
    deliverCommand(),
    explainCommand(),
    historyCommand(),
    retentionCommand(signal),
    datasetCommand(signal),
    waitCommand(signal),
    verifyCommand(signal),
    doctorCommand(signal),
    featuresCommand(),
    lineageCommand(),
    expectationsCommand(signal),
    planCommand(signal),
    equivalentCommand(signal),
    pruneCommand(signal),
    backfillCommand(signal),
    backfillsCommand(),
    resyncCommand(signal),
    topicsCommand(signal),
    connectorsCommand(),
    connectorCommand(signal),
    syncCommand(signal),
    rejectsCommand(signal),
    unpublishedCommand(),
    eraseCommand(signal),
  ]
  for (const command of commands) program.addCommand(command)
  for (const command of [program, ...commands]) command.exitOverride().showHelpAfterError('(see --help)')
  return program
}

/** @returns the exit code, unless a command has set `process.exitCode` itself */
export async function run(argv: readonly string[], signal: AbortSignal): Promise<number | null> {
  try {
    await createProgram(signal).parseAsync([...argv], { from: 'user' })
    return null
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage
    if (signal.aborted && !isDrainTimeout(error)) return interruptedCode(signal)
    const known = explained(error)
    printError(known, argv.includes('--json'))
    return exitCodeOf(known)
  }
}

if (process.argv[1] !== undefined && /[\\/]src[\\/]cli[\\/]main\.[jt]s$/.test(process.argv[1])) {
  const signal = onSignals((code) => process.exit(code))
  const code = await run(process.argv.slice(2), signal)
  if (code !== null) process.exitCode = code
  // What did not end when it was asked to would keep the process alive; it has had its time.
  if (signal.aborted) process.exit()
}
