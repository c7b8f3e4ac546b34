/**
 * A real S3 server: moto's, from PyPI, in a process of its own; and a relay in front of it that answers in its place or
 * holds calls back.
 * Invariant: what a relay holds is never passed on; disposing ends the process and every connection.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse, request as send } from 'node:http'
import { type AddressInfo, createServer as createTcpServer } from 'node:net'
import { CreateBucketCommand, ListMultipartUploadsCommand, S3Client } from '@aws-sdk/client-s3'
import { eventually } from './eventually.ts'
import { type Python, pythonWith } from './python.ts'

export const MOTO: readonly string[] = ['moto[server]==5.2.5']
export const BUCKET = 'rescore-test'

/** For the SDK's own chain of credentials. */
export const CREDENTIALS = { AWS_ACCESS_KEY_ID: 'test', AWS_SECRET_ACCESS_KEY: 'test', AWS_REGION: 'us-east-1' }

export const moto = (): Promise<Python> => pythonWith('moto', MOTO)

export interface S3Server extends AsyncDisposable {
  readonly endpoint: string
  readonly client: S3Client
  /** Keys of uploads that were begun and not finished. */
  unfinished(): Promise<readonly string[]>
}

async function freePort(): Promise<number> {
  const server = createTcpServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (address === null || typeof address === 'string') throw new Error('A port was asked for.')
  return address.port
}

/** @param environment further variables of the server */
export async function startS3(
  program: string,
  environment: Readonly<Record<string, string>> = {},
  bucket: string | null = BUCKET,
): Promise<S3Server> {
  const port = await freePort()
  const child = spawn(program, ['-m', 'moto.server', '-H', '127.0.0.1', '-p', String(port)], {
    env: { ...process.env, ...environment },
    stdio: 'ignore',
  })
  const exited = once(child, 'exit')
  const endpoint = `http://127.0.0.1:${port}`
  const credentials = { accessKeyId: 'test', secretAccessKey: 'test' }
  const client = new S3Client({ endpoint, region: 'us-east-1', forcePathStyle: true, credentials })
  const stop = async () => {
    client.destroy()
    child.kill('SIGKILL')
    await exited
  }
  try {
    await eventually(async () => {
      const answer = await fetch(`${endpoint}/moto-api/`)
      await answer.arrayBuffer()
    })
    if (bucket !== null) await client.send(new CreateBucketCommand({ Bucket: bucket }))
  } catch (error) {
    await stop()
    throw error
  }
  return {
    endpoint,
    client,
    unfinished: async () => {
      const { Uploads } = await client.send(new ListMultipartUploadsCommand({ Bucket: BUCKET }))
      return (Uploads ?? []).map(({ Key }) => Key ?? '')
    },
    [Symbol.asyncDispose]: stop,
  }
}

/** What a relay does with a call instead of passing it on; undefined: pass it on. */
export type Instead =
  | { readonly status: number; readonly body: string; readonly headers?: Readonly<Record<string, string>> }
  | 'hold'
  | 'lose-answer'
  | undefined

export interface Relay extends AsyncDisposable {
  readonly endpoint: string
  /** `METHOD path?query` of every call, in order. */
  readonly calls: readonly string[]
  instead: (call: string) => Instead
}

/** @param target endpoint of the server behind */
export async function startRelay(target: string): Promise<Relay> {
  const calls: string[] = []
  const pass = (incoming: IncomingMessage, answer: ServerResponse, loses: boolean) => {
    const upstream = send(`${target}${incoming.url}`, { method: incoming.method ?? 'GET', headers: incoming.headers })
    upstream.on('error', () => answer.destroy())
    upstream.on('response', (response) => {
      if (loses) {
        response.resume()
        response.on('end', () => answer.destroy())
        return
      }
      // moto ends the connection after each answer; the relay keeps its own.
      const { connection: _, ...headers } = response.headers
      answer.writeHead(response.statusCode ?? 502, headers)
      response.pipe(answer)
    })
    incoming.pipe(upstream)
  }
  const relay = { instead: (_: string): Instead => undefined }
  const server = createServer((incoming, answer) => {
    const call = `${incoming.method} ${incoming.url}`
    calls.push(call)
    const instead = relay.instead(call)
    if (instead === 'hold') incoming.resume()
    else if (instead === undefined || instead === 'lose-answer') pass(incoming, answer, instead === 'lose-answer')
    else {
      incoming.resume()
      answer.writeHead(instead.status, instead.headers).end(incoming.method === 'HEAD' ? undefined : instead.body)
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address: AddressInfo | string | null = server.address()
  const port = address === null || typeof address === 'string' ? 0 : address.port
  return Object.assign(relay, {
    endpoint: `http://127.0.0.1:${port}`,
    calls,
    [Symbol.asyncDispose]: async () => {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  })
}

export const s3Error = (status: number, code: string, more = '') => ({
  status,
  headers: { 'content-type': 'application/xml' },
  body: `<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>${code}</Code><Message>${code}</Message>${more}<RequestId>1</RequestId></Error>`,
})
