/** Batches of records: read, create, update, archive. At most 100 inputs, 50 with histories. */
import { idOf, inputsOf, type JsonObject, objectOf, stringsOf } from './body.ts'
import { type Call, HISTORY_LIMIT, LIST_LIMIT, NO_CONTENT, ok, type Reply } from './call.ts'
import { HubspotFailure, notFound } from './failure.ts'
import type { ObjectType } from './object-types.ts'
import { createOne, updateOne } from './objects.ts'

import { readShape, recordBody } from './serialize.ts'

interface BatchError {
  readonly status: 'error'
  readonly category: string
  readonly message: string
  readonly context: JsonObject
}

/** 207 when anything is missing; the client sees a success. */
function batchReply(call: Call, results: readonly object[], errors: readonly BatchError[], status: number): Reply {
  const now = new Date(call.portal.clock.now()).toISOString()
  const at = { startedAt: now, completedAt: now }
  if (errors.length === 0) return ok({ status: 'COMPLETE', results, ...at }, status)
  return ok({ status: 'COMPLETE', results, numErrors: errors.length, errors, ...at }, 207)
}

export function readBatch(call: Call, type: ObjectType): Reply {
  const body = objectOf(call.body, 'body')
  const shape = readShape(
    call.portal,
    type,
    stringsOf(body.properties, 'properties'),
    stringsOf(body.propertiesWithHistory, 'propertiesWithHistory'),
  )
  const inputs = inputsOf(body, shape.history.length > 0 ? HISTORY_LIMIT : LIST_LIMIT)
  const archived = call.query.get('archived') === 'true'
  const results = new Map<number, object>()
  const missing: string[] = []
  for (const input of inputs) {
    const id = idOf(input.id)
    const found = id === undefined ? undefined : call.portal.find(type, id)
    if (found !== undefined && (found.archivedMs !== null) === archived) results.set(found.id, recordBody(found, shape))
    else missing.push(String(input.id))
  }
  const message = `Could not get some ${type}, they may be deleted or not exist. Check that ids are valid.`
  const errors: BatchError[] =
    missing.length === 0 ? [] : [{ status: 'error', category: 'OBJECT_NOT_FOUND', message, context: { ids: missing } }]
  return batchReply(call, [...results.values()], errors, 200)
}

/** All or nothing, unless every input carries an objectWriteTraceId to hang its error on. */
function writeBatch(call: Call, status: number, write: (input: JsonObject) => object): Reply {
  const inputs = inputsOf(call.body, LIST_LIMIT)
  const traced = inputs.every((input) => typeof input.objectWriteTraceId === 'string')
  const results: object[] = []
  const errors: BatchError[] = []
  for (const input of inputs) {
    try {
      results.push(write(input))
    } catch (error) {
      if (!traced || !(error instanceof HubspotFailure)) throw error
      const context = { objectWriteTraceId: [input.objectWriteTraceId] }
      errors.push({ status: 'error', category: error.category, message: error.message, context })
    }
  }
  return batchReply(call, results, errors, status)
}

export function createBatch(call: Call, type: ObjectType): Reply {
  return writeBatch(call, 201, (input) => createOne(call.portal, type, input))
}

export function updateBatch(call: Call, type: ObjectType): Reply {
  const ids = inputsOf(call.body, LIST_LIMIT).map((input) => idOf(input.id))
  if (ids.every((id) => id === undefined || call.portal.get(type, id) === undefined)) throw notFound()
  return writeBatch(call, 200, (input) => updateOne(call.portal, type, input.id, input.properties))
}

export function archiveBatch(call: Call, type: ObjectType): Reply {
  for (const input of inputsOf(call.body, LIST_LIMIT)) {
    const id = idOf(input.id)
    if (id !== undefined && call.portal.get(type, id) !== undefined) call.portal.archive(type, id)
  }
  return NO_CONTENT
}
