/** The credential a document asks for, as `http.auth` can give it. Pure. */
import type { Operation } from './operations.ts'
import { child, isNode, listOf, type Node, type Schemas, textOf } from './schema.ts'

export type PlannedAccess =
  | { readonly kind: 'none' | 'bearer' | 'basic' }
  | { readonly kind: 'header' | 'query'; readonly name: string }
  | { readonly kind: 'oauth'; readonly tokenUrl: string; readonly grant: 'client-credentials' | 'refresh-token' }

export interface RecognisedAccess {
  readonly access: PlannedAccess
  readonly notes: readonly string[]
}

function oauthOf(flows: unknown): PlannedAccess | undefined {
  const client = textOf(child(flows, 'clientCredentials', 'tokenUrl'))
  if (client !== undefined) return { kind: 'oauth', tokenUrl: client, grant: 'client-credentials' }
  const refresh =
    textOf(child(flows, 'authorizationCode', 'refreshUrl')) ?? textOf(child(flows, 'authorizationCode', 'tokenUrl'))
  return refresh === undefined ? undefined : { kind: 'oauth', tokenUrl: refresh, grant: 'refresh-token' }
}

function accessOf(scheme: Node): PlannedAccess | undefined {
  const name = textOf(scheme.name) ?? ''
  if (scheme.type === 'http') {
    const way = textOf(scheme.scheme)?.toLowerCase()
    return way === 'bearer' ? { kind: 'bearer' } : way === 'basic' ? { kind: 'basic' } : undefined
  }
  if (scheme.type === 'apiKey' && name !== '') {
    if (scheme.in === 'header') return { kind: 'header', name }
    if (scheme.in === 'query') return { kind: 'query', name }
    return undefined
  }
  if (scheme.type === 'oauth2') return oauthOf(scheme.flows)
  return scheme.type === 'openIdConnect' ? { kind: 'bearer' } : undefined
}

/** Simpler ones first: a token that somebody makes in a console needs no grant to be given. */
const EASE: Readonly<Record<PlannedAccess['kind'], number>> = {
  bearer: 0,
  header: 1,
  basic: 2,
  query: 3,
  oauth: 4,
  none: 5,
}
const easeOf = ({ kind }: PlannedAccess) => EASE[kind]

/** Of the operations that are to be read. */
export function accessFor(schemas: Schemas, operations: readonly Operation[]): RecognisedAccess {
  const schemes = child(schemas.document, 'components', 'securitySchemes')
  const asked = operations.flatMap(({ security }) => listOf(security)).filter(isNode)
  // A requirement of several schemes at once needs more than one credential, which is not spoken here.
  const names =
    asked.length > 0
      ? asked.filter((one) => Object.keys(one).length === 1).flatMap((one) => Object.keys(one))
      : Object.keys(isNode(schemes) ? schemes : {})
  const usable = [...new Set(names)].flatMap((name) => {
    const scheme = schemas.at(child(schemes, name))
    const access = scheme === undefined ? undefined : accessOf(scheme)
    return access === undefined ? [] : [{ name, access }]
  })
  const [first, ...others] = usable.sort((left, right) => easeOf(left.access) - easeOf(right.access))
  if (first === undefined) {
    const why =
      names.length === 0
        ? 'The document asks for no credential'
        : `No way to sign in was recognised (${names.join(', ')})`
    return {
      access: { kind: 'none' },
      notes: [`${why}: calls carry none. Declare \`http.auth\` if the source wants one.`],
    }
  }
  const also = others.length === 0 ? '' : `; the document also knows ${others.map(({ name }) => name).join(', ')}`
  return {
    access: first.access,
    notes: [`The credential is given as the document's \`${first.name}\` says (${first.access.kind})${also}.`],
  }
}
