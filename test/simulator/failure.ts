/** What the API refuses, and how HubSpot says so. Every error body is built here. */

export class HubspotFailure extends Error {
  readonly status: number
  readonly category: string
  readonly extra: Readonly<Record<string, unknown>>

  constructor(status: number, category: string, message: string, extra: Readonly<Record<string, unknown>> = {}) {
    super(message)
    this.name = 'HubspotFailure'
    this.status = status
    this.category = category
    this.extra = extra
  }
}

export function invalid(message: string, extra: Readonly<Record<string, unknown>> = {}): HubspotFailure {
  return new HubspotFailure(400, 'VALIDATION_ERROR', message, extra)
}

export function notFound(): HubspotFailure {
  return new HubspotFailure(404, 'OBJECT_NOT_FOUND', 'resource not found')
}

export function failureBody(failure: HubspotFailure, correlationId: string): object {
  return {
    status: 'error',
    message: failure.message,
    correlationId,
    category: failure.category,
    ...failure.extra,
  }
}

export interface PropertyProblem {
  readonly name: string
  readonly error: 'PROPERTY_DOESNT_EXIST' | 'INVALID_VALUE' | 'READ_ONLY_VALUE'
  readonly message: string
}

/** HubSpot puts the list of problems as JSON into the message. */
export function invalidProperties(problems: readonly PropertyProblem[]): HubspotFailure {
  const listed = problems.map(({ name, error, message }) => ({ isValid: false, message, error, name }))
  return invalid(`Property values were not valid: ${JSON.stringify(listed)}`, {
    errors: problems.map(({ name, error, message }) => ({ message, code: error, context: { propertyName: [name] } })),
  })
}
