/** `rescore doctor`: what is wrong and how to mend it; exit 3 when anything is. */
import type { Command } from 'commander'
import { loadProject } from '../config.ts'
import { capturedTables } from '../graph/captured-tables.ts'
import { compileGraph } from '../graph/compile.ts'
import { pathColumns } from '../graph/path-columns.ts'
import { readKafkaSettings } from '../log/kafka/settings.ts'
import { examine } from '../observe/doctor.ts'
import { examineDebezium } from '../observe/doctor-debezium.ts'
import { examineKafka } from '../observe/doctor-kafka.ts'
import { type Common, command } from './command.ts'
import { connect } from './connection.ts'
import { EXIT } from './exit.ts'
import { print, printJson } from './output.ts'

export function doctorCommand(signal: AbortSignal): Command {
  return command('doctor', 'What is wrong with this set-up, and the mend for each', [
    ['rescore doctor', 'check configuration, database, slot, connectors, models, and Kafka where it is used'],
    ['rescore doctor --json', 'the same for a health check; exit 3 when there are problems'],
  ]).action(async (options: Common) => {
    const { pool, environment } = await connect(process.cwd())
    try {
      // Reached first, so that "not reachable" ends with its own exit code.
      await pool.query('select 1')
      const config = await loadProject(process.cwd())
      const graph = compileGraph(config)
      const captured = capturedTables(graph)
      const { RESCORE_SLOT: slot, RESCORE_PUBLICATION: publication } = environment
      const settings = readKafkaSettings(process.env)
      const problems = [
        ...(await examine({
          pool,
          config,
          tables: graph.tables,
          paths: pathColumns(graph),
          slot,
          publication,
          signal,
        })),
      ]
      if (settings !== null) {
        const stages = ['recompute', 'score']
        const writer = config.capture
        problems.push(...(await examineKafka({ settings, tables: captured, stages, writer, signal })))
        if (writer === 'debezium') {
          problems.push(...(await examineDebezium({ pool, settings, slot, publication, tables: captured, signal })))
        }
      }
      if (problems.length > 0) process.exitCode = EXIT.problems
      if (options.json === true) return printJson({ problems })
      if (problems.length === 0) return print('nothing is wrong')
      for (const { check, message, mend } of problems) print(`${check}: ${message}\n  mend: ${mend}`)
    } finally {
      await pool.end()
    }
  })
}
