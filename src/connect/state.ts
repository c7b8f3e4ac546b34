/**
 * A stream's checkpoint, read back.
 * Invariant: a state of another version or shape is refused, never taken as "start again": starting again would hide a
 * lost position behind a long reload.
 */
import type { Queryable } from '../db/pool.ts'
import type { Stream } from '../define/index.ts'
import { RescoreError } from '../errors.ts'

/** null: the stream has never checkpointed. @throws RescoreError CONNECT_STATE_UNKNOWN */
export async function readState(database: Queryable, connector: string, stream: Stream): Promise<unknown> {
  const { rows } = await database.query<{ version: number; state: unknown }>(
    'select version, state from rescore.connector_state where connector = $1 and stream = $2',
    [connector, stream.name],
  )
  const [row] = rows
  if (row === undefined) return null
  const parsed = stream.state.schema.safeParse(row.state)
  if (row.version === stream.state.version && parsed.success) return parsed.data
  const why = parsed.success
    ? `version ${row.version}; this Rescore reads version ${stream.state.version}`
    : `of a shape this Rescore does not know (${parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`).join('; ')})`
  throw new RescoreError({
    code: 'CONNECT_STATE_UNKNOWN',
    fate: 'stop',
    message: `The checkpoint of ${connector}/${stream.name} is ${why}.`,
    mend: `Run the Rescore that wrote it, or read the stream from the start: delete from rescore.connector_state where connector = '${connector}' and stream = '${stream.name}';`,
    context: { connector, stream: stream.name },
  })
}
