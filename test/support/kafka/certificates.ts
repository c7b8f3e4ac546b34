/**
 * Certificates for a test: an authority, a server for 127.0.0.1 and localhost, a client, and another authority that
 * nobody trusts. Made by openssl when the test runs, so that none is in the repository and none expires.
 */
import { execFile } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

export interface Certificates {
  readonly authority: string
  readonly strangerAuthority: string
  /** Key and chain in one PEM file, as Kafka reads it. */
  readonly keystore: string
  readonly truststore: string
  readonly clientCertificate: string
  readonly clientKey: string
}

const ELLIPTIC = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']

export async function makeCertificates(folder: string): Promise<Certificates> {
  const at = (name: string) => join(folder, name)
  const openssl = (...flags: string[]) => run('openssl', flags, { cwd: folder })
  const authority = (name: string) =>
    openssl(
      'req',
      '-x509',
      ...ELLIPTIC,
      '-days',
      '2',
      '-subj',
      `/CN=${name}`,
      '-keyout',
      `${name}.key`,
      '-out',
      `${name}.pem`,
    )
  const signed = async (name: string, extension: string) => {
    await openssl('req', ...ELLIPTIC, '-subj', `/CN=${name}`, '-keyout', `${name}.key`, '-out', `${name}.csr`)
    await writeFile(at(`${name}.ext`), extension)
    const by = ['-CA', 'authority.pem', '-CAkey', 'authority.key', '-CAcreateserial']
    await openssl(
      'x509',
      '-req',
      '-in',
      `${name}.csr`,
      ...by,
      '-days',
      '2',
      '-extfile',
      `${name}.ext`,
      '-out',
      `${name}.pem`,
    )
  }
  await Promise.all([authority('authority'), authority('stranger')])
  await signed('server', 'subjectAltName=DNS:localhost,IP:127.0.0.1')
  await signed('client', 'extendedKeyUsage=clientAuth')
  const parts = await Promise.all(
    ['server.key', 'server.pem', 'authority.pem'].map((name) => readFile(at(name), 'utf8')),
  )
  await writeFile(at('keystore.pem'), parts.join(''))
  return {
    authority: at('authority.pem'),
    strangerAuthority: at('stranger.pem'),
    keystore: at('keystore.pem'),
    truststore: at('authority.pem'),
    clientCertificate: at('client.pem'),
    clientKey: at('client.key'),
  }
}
