/** Pipelines and their stages. `GET /crm/pipelines/2026-09/{type}` and its v3 twin; not paged. */
import { type Call, ok, type Reply } from './call.ts'
import type { SimulatorClock } from './clock.ts'
import { HubspotFailure, notFound } from './failure.ts'
import type { ObjectType } from './object-types.ts'
import { DEAL_STAGES, TICKET_STAGES } from './schema.ts'

export interface Stage {
  readonly id: string
  readonly label: string
  readonly metadata: Readonly<Record<string, string>>
}

export interface Pipeline {
  readonly id: string
  readonly label: string
  readonly stages: readonly Stage[]
  readonly updatedMs: number
}

/** Property that holds a record's pipeline, and that of its stage. */
const COLUMNS: Readonly<Record<string, readonly [pipeline: string, stage: string]>> = {
  deals: ['pipeline', 'dealstage'],
}
const columnsOf = (type: ObjectType) => COLUMNS[type] ?? (['hs_pipeline', 'hs_pipeline_stage'] as const)

const DEAL_LABELS: Readonly<Record<string, string>> = {
  appointmentscheduled: 'Appointment Scheduled',
  qualifiedtobuy: 'Qualified To Buy',
  presentationscheduled: 'Presentation Scheduled',
  decisionmakerboughtin: 'Decision Maker Bought-In',
  contractsent: 'Contract Sent',
  closedwon: 'Closed Won',
  closedlost: 'Closed Lost',
}

function dealStages(): readonly Stage[] {
  const last = Object.keys(DEAL_STAGES).length - 1
  return Object.entries(DEAL_STAGES).map(([id, { closed, won }], at) => ({
    id,
    label: DEAL_LABELS[id] ?? id,
    metadata: {
      isClosed: String(closed),
      probability: closed ? (won ? '1.0' : '0.0') : ((at + 1) / (last + 1)).toFixed(1),
    },
  }))
}

export class Pipelines {
  readonly #pipelines = new Map<ObjectType, Pipeline[]>()
  readonly #clock: SimulatorClock

  constructor(clock: SimulatorClock) {
    this.#clock = clock
    this.put('deals', { id: 'default', label: 'Sales Pipeline', stages: dealStages() })
    const stages = Object.entries(TICKET_STAGES).map(([id, label]) => ({
      id,
      label,
      metadata: { isClosed: String(id === '4'), ticketState: id === '4' ? 'CLOSED' : 'OPEN' },
    }))
    this.put('tickets', { id: '0', label: 'Support Pipeline', stages })
  }

  /** Adds it, or replaces the one with its id. */
  put(type: ObjectType, pipeline: Omit<Pipeline, 'updatedMs'>): void {
    const others = this.of(type).filter(({ id }) => id !== pipeline.id)
    this.#pipelines.set(type, [...others, { ...pipeline, updatedMs: this.#clock.now() }])
  }

  remove(type: ObjectType, id: string): void {
    this.#pipelines.set(
      type,
      this.of(type).filter((one) => one.id !== id),
    )
  }

  of(type: ObjectType): readonly Pipeline[] {
    return this.#pipelines.get(type) ?? []
  }

  /** @param id of a pipeline or of a stage. @returns the property of records that holds it. @throws Error for neither */
  rename(type: ObjectType, id: string, label: string): string {
    const [pipelineColumn, stageColumn] = columnsOf(type)
    const pipeline = this.of(type).find((one) => one.id === id)
    if (pipeline !== undefined) {
      this.put(type, { ...pipeline, label })
      return pipelineColumn
    }
    const holder = this.of(type).find(({ stages }) => stages.some((stage) => stage.id === id))
    if (holder === undefined) throw new Error(`No pipeline or stage ${id} of ${type}.`)
    this.put(type, { ...holder, stages: holder.stages.map((stage) => (stage.id === id ? { ...stage, label } : stage)) })
    return stageColumn
  }
}

function pipelineBody({ id, label, stages, updatedMs }: Pipeline, displayOrder: number): object {
  const at = { createdAt: new Date(0).toISOString(), updatedAt: new Date(updatedMs).toISOString(), archived: false }
  return {
    id,
    label,
    displayOrder,
    ...at,
    stages: stages.map((stage, order) => ({
      ...stage,
      displayOrder: order,
      writePermissions: 'CRM_PERMISSIONS_ENFORCEMENT',
      ...at,
    })),
  }
}

export function pipelines(call: Call, [name, id]: readonly string[]): Reply {
  const type = call.portal.types.find(name ?? '')
  if (type === undefined) throw new HubspotFailure(400, 'VALIDATION_ERROR', `Unable to infer object type from: ${name}`)
  const all = call.portal.pipelines.of(type.name)
  if (id === undefined) return ok({ results: all.map(pipelineBody) })
  const at = all.findIndex((pipeline) => pipeline.id === id)
  const found = all[at]
  if (found === undefined) throw notFound()
  return ok(pipelineBody(found, at))
}
