/**
 * Object types of a portal: the standard ones, and custom objects the portal defines.
 * Invariant: every name HubSpot takes for a type (plural, singular, object type id, fully qualified name) leads to one.
 */
import { DEFINITIONS, type PropertyDefinition, system } from './schema.ts'

/** As paths name it: `companies`, or a custom object's fully qualified name such as `p12345678_machines`. */
export type ObjectType = string

export const PORTAL_ID = 12_345_678

export interface TypeSpec {
  readonly name: ObjectType
  /** `0-2`, or `2-…` for a custom object */
  readonly objectTypeId: string
  /** How webhooks of the old format name it; a custom object has none. */
  readonly singular: string
  readonly aliases: readonly string[]
  readonly lastModified: string
  readonly created: string
  /** Answered when a read names no properties. */
  readonly defaults: readonly string[]
  /** Where a merged record names the ids it came from. */
  readonly mergedIds: string
  /** Versions of a property that are kept. */
  readonly historyKept: number
  readonly definitions: readonly PropertyDefinition[]
  readonly isCustom: boolean
}

function standard(
  name: string,
  singular: string,
  objectTypeId: string,
  definitions: readonly PropertyDefinition[],
  defaults: readonly string[],
  more: Partial<TypeSpec> = {},
): TypeSpec {
  const lastModified = 'hs_lastmodifieddate'
  return {
    name,
    objectTypeId,
    singular,
    aliases: [singular],
    lastModified,
    created: 'createdate',
    defaults: [...new Set([...defaults, 'createdate', more.lastModified ?? lastModified, 'hs_object_id'])].sort(),
    mergedIds: 'hs_merged_object_ids',
    historyKept: 20,
    definitions,
    isCustom: false,
    ...more,
  }
}

const STANDARD: readonly TypeSpec[] = [
  standard('companies', 'company', '0-2', DEFINITIONS.companies, ['domain', 'name']),
  standard('contacts', 'contact', '0-1', DEFINITIONS.contacts, ['email', 'firstname', 'lastname'], {
    lastModified: 'lastmodifieddate',
    mergedIds: 'hs_calculated_merged_vids',
    historyKept: 45,
  }),
  standard('deals', 'deal', '0-3', DEFINITIONS.deals, ['amount', 'closedate', 'dealname', 'dealstage', 'pipeline']),
  standard('tickets', 'ticket', '0-5', DEFINITIONS.tickets, [
    'content',
    'hs_pipeline',
    'hs_pipeline_stage',
    'hs_ticket_priority',
    'subject',
  ]),
]

export interface CustomObject {
  /** `machines` becomes `p12345678_machines` */
  readonly name: string
  readonly properties: readonly PropertyDefinition[]
}

export class ObjectTypes {
  readonly #types = new Map<ObjectType, TypeSpec>(STANDARD.map((spec) => [spec.name, spec]))
  readonly #names = new Map<string, ObjectType>()
  readonly #custom: CustomObject[] = []

  constructor() {
    for (const spec of STANDARD) this.#name(spec)
  }

  #name(spec: TypeSpec): void {
    for (const name of [spec.name, spec.objectTypeId, ...spec.aliases]) this.#names.set(name.toLowerCase(), spec.name)
  }

  /** @throws Error when there is no such type */
  get(type: ObjectType): TypeSpec {
    const spec = this.#types.get(type)
    if (spec === undefined) throw new Error(`There is no object type ${type}.`)
    return spec
  }

  find(name: string): TypeSpec | undefined {
    return this.#types.get(this.#names.get(name.toLowerCase()) ?? '')
  }

  all(): readonly TypeSpec[] {
    return [...this.#types.values()]
  }

  /** As they were defined. */
  custom(): readonly CustomObject[] {
    return this.#custom
  }

  define({ name, properties }: CustomObject): TypeSpec {
    const full = `p${PORTAL_ID}_${name}`
    if (this.#types.has(full)) throw new Error(`There is an object type ${full} already.`)
    const lastModified = 'hs_lastmodifieddate'
    const created = 'hs_createdate'
    const mergedIds = 'hs_merged_object_ids'
    const own = [system('hs_object_id', 'number'), system(created, 'datetime'), system(lastModified, 'datetime')]
    const spec: TypeSpec = {
      name: full,
      objectTypeId: `2-${4_000_001 + this.#custom.length}`,
      singular: 'object',
      aliases: [`p_${name}`, name],
      lastModified,
      created,
      defaults: [created, lastModified, 'hs_object_id'],
      mergedIds,
      historyKept: 20,
      definitions: [...own, system(mergedIds, 'enumeration'), ...properties],
      isCustom: true,
    }
    this.#custom.push({ name, properties })
    this.#types.set(full, spec)
    this.#name(spec)
    return spec
  }
}
