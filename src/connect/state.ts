/**
 * A stream's checkpoint, read back.
 * Invariant: a state of an earlier version goes through the stream's own migration; one of another version or shape is
 * refused, never taken as "start again": starting again would hide a lost position behind a long reload.
 */
import type { Queryable } from '../db/pool.ts'
import type { Stream } from '../define/index.ts'
import { RescoreError } from '../errors.ts'

function refuse(connector: string, stream: string, why: string): RescoreError {
  return new RescoreError({
    code: 'CONNECT_STATE_UNKNOWN',
    fate: 'stop',
    message: `The checkpoint of ${connector}/${stream} is ${why}.`,
    mend: `Run the Rescore that wrote it, or read the stream from the start: delete from rescore.connector_state where connector = '${connector}' and stream = '${stream}';`,
    context: { connector, stream },
  })
}

/**
 * @param name under which the checkpoint is kept; default: the stream's
 * @returns null: the stream has never checkpointed
 * @throws RescoreError CONNECT_STATE_UNKNOWN
 */
export async function readState(
  database: Queryable,
  connector: string,
  stream: Stream,
  name: string = stream.name,
): Promise<unknown> {
  const { rows } = await database.query<{ version: number; state: unknown }>(
    'select version, state from rescore.connector_state where connector = $1 and stream = $2',
    [connector, name],
  )
  const [row] = rows
  if (row === undefined) return null
  const { version, schema } = stream.state
  const isEarlier = row.version < version
  const migrated = isEarlier ? stream.state.migrate?.(row.state, row.version) : row.state
  const parsed = schema.safeParse(migrated)
  if (parsed.success && (row.version === version || (isEarlier && migrated !== undefined))) return parsed.data
  if (row.version !== version) {
    throw refuse(connector, name, `of version ${row.version}; this Rescore reads version ${version}`)
  }
  const issues = parsed.success ? [] : parsed.error.issues
  const shape = issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`).join('; ')
  throw refuse(connector, name, `of a shape this Rescore does not know (${shape})`)
}
