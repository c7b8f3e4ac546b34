/**
 * Object types of the portal by every name they have: custom objects are told of by their object type id in webhooks and
 * in the journal, and by a name of the user's choice in the configuration.
 *
 * Invariant: the schemas of custom objects are read once per process, and only where one is configured.
 */
import { z } from 'zod'
import type { ConnectorProblem, SourceContext } from '../../src/define/index.ts'
import type { HubspotApi } from './api.ts'
import { nearMatches } from './properties.ts'
import { checked } from './records.ts'

const schema = z.object({ name: z.string(), objectTypeId: z.string(), fullyQualifiedName: z.string() })
const schemaList = z.object({ results: z.array(schema) })

const STANDARD: Readonly<Record<string, string>> = {
  contacts: '0-1',
  companies: '0-2',
  deals: '0-3',
  tickets: '0-5',
}

export const isStandard = (type: string): boolean => Object.hasOwn(STANDARD, type)

/** The types that are read, by object type id. */
export interface ReadTypes {
  /** The configured type; undefined: none of ours, or not known yet (`complete`). */
  typeOf(objectTypeId: string): string | undefined
  /** Whether every configured type is known by its object type id. */
  readonly complete: boolean
}

/** @param types standard ones, as they are configured */
export function standardTypes(types: readonly string[]): ReadTypes {
  const byId = new Map(types.map((type) => [STANDARD[type], type]))
  return { typeOf: (objectTypeId) => byId.get(objectTypeId), complete: true }
}

export class PortalSchemas implements ReadTypes {
  readonly #api: HubspotApi
  readonly #custom: readonly string[]
  /** objectTypeId → type as configured */
  readonly #types: Map<string, string>
  #known: readonly z.infer<typeof schema>[] | undefined

  /** @param types as they are configured */
  constructor(api: HubspotApi, types: readonly string[]) {
    this.#api = api
    this.#custom = types.filter((type) => !isStandard(type))
    this.#types = new Map(types.flatMap((type) => (isStandard(type) ? [[STANDARD[type] ?? type, type]] : [])))
  }

  get complete(): boolean {
    return this.#known !== undefined || this.#custom.length === 0
  }

  typeOf(objectTypeId: string): string | undefined {
    return this.#types.get(objectTypeId)
  }

  async read(context: SourceContext): Promise<void> {
    if (this.complete) return
    const answer = await this.#api.request(context, { budget: 'burst', method: 'GET', path: this.#api.paths.schemas })
    const known = checked(schemaList, answer, 'The list of schemas').results
    for (const type of this.#custom) {
      const found = known.find((one) => namesOf(one).includes(type))
      if (found !== undefined) this.#types.set(found.objectTypeId, type)
    }
    this.#known = known
  }

  /** objectTypeId of a configured type. */
  async idOf(context: SourceContext, type: string): Promise<string | undefined> {
    await this.read(context)
    return [...this.#types].find(([, configured]) => configured === type)?.[0]
  }

  async problemsOf(context: SourceContext, type: string): Promise<readonly ConnectorProblem[]> {
    if (isStandard(type) || (await this.idOf(context, type)) !== undefined) return []
    const near = nearMatches(
      type,
      (this.#known ?? []).map((one) => one.fullyQualifiedName),
    )
    const meant = near.length === 0 ? '' : ` Did you mean ${near.map((name) => `'${name}'`).join(' or ')}?`
    return [
      {
        code: 'HUBSPOT_UNKNOWN_OBJECT',
        message: `The portal has no custom object '${type}'.${meant}`,
        mend: 'Name it in objects of hubspot() by its fully qualified name (p123_machines) or its object type id (2-456).',
      },
    ]
  }
}

/** Names HubSpot's paths take. */
function namesOf({ name, objectTypeId, fullyQualifiedName }: z.infer<typeof schema>): readonly string[] {
  return [fullyQualifiedName, objectTypeId, `p_${name}`]
}
