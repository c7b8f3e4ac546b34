/**
 * What must be known of an object type before it is read: that the portal has it, and every property that is declared.
 *
 * Invariants: read once per process and type; a check that failed is made again by the next pass. Nothing is stored.
 */
import { type ConnectorProblem, type SourceContext, SourceError } from '../../src/define/index.ts'
import type { HubspotApi } from './api.ts'
import { propertiesOf } from './coerce.ts'
import type { ObjectType } from './object-type.ts'
import { propertyProblems, readDefinitions } from './properties.ts'
import type { PortalSchemas } from './schemas.ts'

export interface Readiness {
  /** Declared properties that HubSpot works out by itself. */
  readonly calculated: readonly string[]
}

/** @throws SourceError of kind config when something is declared that the portal does not have */
export type Ready = (context: SourceContext) => Promise<Readiness>

export interface Checked {
  readonly problems: readonly ConnectorProblem[]
  readonly readiness: Readiness
}

export async function checkObject(
  api: HubspotApi,
  schemas: PortalSchemas,
  context: SourceContext,
  object: ObjectType,
): Promise<Checked> {
  const unknown = await schemas.problemsOf(context, object.type)
  if (unknown.length > 0) return { problems: unknown, readiness: { calculated: [] } }
  const known = await readDefinitions(api, context, object.type)
  return {
    problems: propertyProblems(object.type, object.table, object.historyProperties, known),
    readiness: { calculated: propertiesOf(object.table).filter((name) => known.get(name)?.calculated === true) },
  }
}

export function readyOf(api: HubspotApi, schemas: PortalSchemas, object: ObjectType): Ready {
  let readiness: Readiness | undefined
  return async (context) => {
    if (readiness !== undefined) return readiness
    const { problems, readiness: found } = await checkObject(api, schemas, context, object)
    const [first] = problems
    if (first !== undefined) {
      throw new SourceError({
        kind: 'config',
        code: first.code,
        message: problems.map((problem) => problem.message).join(' '),
        mend: first.mend,
      })
    }
    readiness = found
    return found
  }
}
