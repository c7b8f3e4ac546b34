/** Commands of the control API beyond records: definitions, owners, pipelines, labels, webhooks, the app's tokens. */
import { isObject, type JsonObject, listOf, objectOf, stringsOf } from './body.ts'
import { type Command, idIn, numberIn, typeIn } from './control-input.ts'
import { invalid } from './failure.ts'
import { property } from './schema.ts'

function textIn(body: JsonObject, name: string): string {
  const value = body[name]
  if (typeof value !== 'string') throw invalid(`${name} must be text`)
  return value
}

const TYPES = ['string', 'number', 'bool', 'enumeration', 'datetime', 'date'] as const

function propertyIn(item: unknown) {
  const body = objectOf(item, 'a property')
  const type = TYPES.find((known) => known === (body.type ?? 'string'))
  if (type === undefined) throw invalid(`type must be one of ${TYPES.join(', ')}`)
  const calculated = body.calculated === true
  return property(textIn(body, 'name'), type, {
    options: stringsOf(body.options, 'options'),
    readOnly: calculated || body.readOnly === true,
    ...(calculated ? { calculated } : {}),
  })
}

const flag = (body: JsonObject, name: string) => (body[name] === undefined ? {} : { [name]: body[name] === true })

export const MORE_COMMANDS: Readonly<Record<string, Command>> = {
  'POST property': (at, body) => at.portal.defineProperty(typeIn(at, body), propertyIn(body.property)),
  'POST object': ({ portal }, body) => {
    const properties = listOf(body.properties, 'properties').map(propertyIn)
    const { name, objectTypeId } = portal.defineObject({ name: textIn(body, 'name'), properties })
    return { name, objectTypeId }
  },
  'POST calculate': (at, body) => {
    const values = Object.entries(objectOf(body.properties, 'properties')).map(([name, value]) => [name, String(value)])
    at.portal.calculate(typeIn(at, body), idIn(body), Object.fromEntries(values))
  },
  'POST label': (at, body) => {
    const [from, to] = [typeIn(at, body, 'from'), typeIn(at, body, 'to')]
    const typeId = numberIn(body, 'typeId')
    if (typeId === undefined) return { typeId: at.portal.edges.define(from, to, textIn(body, 'label')) }
    if (body.removed === true) at.portal.edges.undefine(from, to, typeId)
    else at.portal.edges.rename(from, to, typeId, textIn(body, 'label'))
    return { typeId }
  },
  'POST owner': ({ portal }, body) => {
    const name = { firstName: textIn(body, 'firstName'), lastName: textIn(body, 'lastName') }
    if (body.id === undefined) return { id: String(portal.owners.add({ email: textIn(body, 'email'), ...name }).id) }
    portal.owners.change(idIn(body), { ...name, ...flag(body, 'archived') })
    return {}
  },
  'POST pipeline': (at, body) => at.portal.editPipeline(typeIn(at, body), textIn(body, 'id'), textIn(body, 'label')),
  'POST webhooks': async ({ webhooks }, body) => {
    if (body.url !== undefined) {
      const { publicUrl } = body
      webhooks.subscribe({
        url: textIn(body, 'url'),
        clientSecret: textIn(body, 'clientSecret'),
        ...(typeof publicUrl === 'string' ? { publicUrl } : {}),
        format: body.format === 'generic' ? 'generic' : 'legacy',
        signature: body.signature === 'v1' ? 'v1' : 'v3',
      })
    }
    const deliver = isObject(body.deliver) ? body.deliver : undefined
    if (deliver === undefined && body.deliver !== true) return { pending: webhooks.pending }
    const sent = await webhooks.deliver({ twice: deliver?.twice === true, shuffled: deliver?.shuffled === true })
    return { ...sent, pending: webhooks.pending }
  },
  'POST expire-tokens': ({ tokens }) => tokens.expireTokens(),
}
