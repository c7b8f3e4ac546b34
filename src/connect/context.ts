/**
 * What a stream sees of the world: clock, randomness, network, log, and what it remembered.
 * Invariant: nothing leaves through it that holds a secret; every call draws from the budgets of the connector's credential.
 */
import type { CallResult, HttpRequest, HttpSettings, Priority, ReadContext, SourceContext } from '../define/index.ts'
import type { BudgetBook } from './budget.ts'
import { callSource } from './call.ts'
import type { AuthEnvironment } from './http/auth.ts'
import { attemptHttp } from './http/client.ts'
import { attemptOpen } from './http/open.ts'
import { redactorOf } from './http/redact.ts'
import { createTransport } from './http/transport.ts'
import { dueValues, recall } from './memory.ts'
import type { RunConnectorOptions } from './options.ts'
import { outdatedRows } from './outdated.ts'
import { createGuard } from './outgoing/guard.ts'
import { absentKeys, countStored } from './stored.ts'

/** @param book shared with whoever else calls with this credential; writing back asks with priority 'write-back' */
export function sourceContext(
  options: Omit<RunConnectorOptions, 'pool'>,
  book: BudgetBook,
  stream: string,
  priority: Priority = 'incremental',
): SourceContext {
  const { connector, signal, log, clock = Date, transport = createTransport(), resolver } = options
  const redactor = redactorOf(connector)
  const budgetOf = (key: string) => {
    const budget = connector.budgets.find((candidate) => candidate.key === key)
    if (budget === undefined) throw new TypeError(`Connector '${connector.name}' declares no budget '${key}'.`)
    return book.of(connector.credential, budget)
  }
  const allow = connector.http?.allow ?? []
  const guard = createGuard({
    allow,
    where: 'http.allow',
    mayBeThisMachine: true,
    ...(resolver === undefined ? {} : { resolver }),
  })
  const at = { connector: connector.name, stream }
  const write = (level: 'info' | 'warn') => (fields: object, message: string) =>
    log[level]({ ...at, ...Object(redactor.value(fields)) }, redactor.text(message))
  const warn = write('warn')
  const now = () => clock.now()
  const call: SourceContext['call'] = (callOptions, attempt) =>
    callSource(
      {
        budgetOf,
        priority,
        signal,
        now,
        ...options.waiting,
        onRetry: (error, attempts, delayMs) =>
          warn({ code: error.code, attempts, delayMs: Math.round(delayMs) }, error.message),
      },
      callOptions,
      attempt,
    )
  const httpCall = <T>(
    request: HttpRequest,
    attempt: (http: HttpSettings, environment: AuthEnvironment, signal: AbortSignal) => Promise<CallResult<T>>,
  ): Promise<T> => {
    const { http, budgets } = connector
    if (http === undefined) throw new TypeError(`Connector '${connector.name}' declares no http settings.`)
    const budget = request.budget ?? budgets[0]?.key ?? connector.name
    const timeoutMs = request.timeoutMs ?? http.timeoutMs
    return call({ budget, ...(timeoutMs === undefined ? {} : { timeoutMs }) }, (attemptSignal) =>
      attempt(http, { transport, redactor, now, guard }, attemptSignal),
    )
  }
  return {
    now,
    random: options.waiting?.random ?? Math.random,
    signal,
    log: { info: write('info'), warn },
    conceal: (secret) => redactor.add(secret),
    call,
    http: async (request) =>
      httpCall(request, (http, environment, attemptSignal) => attemptHttp(http, request, environment, attemptSignal)),
    open: async (request) =>
      httpCall(request, (http, environment, attemptSignal) => attemptOpen(http, request, environment, attemptSignal)),
  }
}

export function readContext(
  options: RunConnectorOptions,
  book: BudgetBook,
  stream: string,
  priority?: Priority,
): ReadContext {
  const { pool, connector } = options
  const context = sourceContext(options, book, stream, priority)
  return {
    ...context,
    recall: (names) => recall(pool, connector.name, stream, names),
    due: (due) => dueValues(pool, connector.name, stream, context.now(), due),
    absent: (absent) => absentKeys(pool, absent),
    size: (table) => countStored(pool, table),
    outdated: (outdated) => outdatedRows(pool, outdated),
  }
}
