// A server certificate for 127.0.0.1 that signs itself, made here: Node makes keys and signs, and DER is little for one fixed form.

import { generateKeyPairSync, randomBytes, sign } from 'node:crypto'
import { chownSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { until } from '../until.mjs'

const SEQUENCE = 0x30
const SET = 0x31
const EXPLICIT = (number) => 0xa0 + number

function der(tag, ...parts) {
  const content = Buffer.concat(parts)
  const { length } = content
  const size = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 255]
  return Buffer.concat([Buffer.from([tag, ...size]), content])
}

const oid = (hex) => der(0x06, Buffer.from(hex, 'hex'))
const octets = (content) => der(0x04, content)
const ECDSA_WITH_SHA256 = der(SEQUENCE, oid('2a8648ce3d040302'))
const COMMON_NAME = oid('550403')
const ALT_NAMES = oid('551d11')
const LOOPBACK = der(0x87, Buffer.from([127, 0, 0, 1]))

/** `{ cert, key }`, both PEM. */
function selfSigned() {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const name = der(SEQUENCE, der(SET, der(SEQUENCE, COMMON_NAME, der(0x0c, Buffer.from('test')))))
  const days = (count) => der(0x17, Buffer.from(`${new Date(Date.now() + count * 86_400_000).toISOString().slice(2, 19).replace(/[-T:]/g, '')}Z`))
  const body = der(
    SEQUENCE,
    der(EXPLICIT(0), der(0x02, Buffer.from([2]))), // version 3
    der(0x02, Buffer.concat([Buffer.from([1]), randomBytes(8)])),
    ECDSA_WITH_SHA256,
    name,
    der(SEQUENCE, days(-1), days(1)),
    name,
    publicKey.export({ type: 'spki', format: 'der' }),
    der(EXPLICIT(3), der(SEQUENCE, der(SEQUENCE, ALT_NAMES, octets(der(SEQUENCE, LOOPBACK))))),
  )
  const whole = der(SEQUENCE, body, ECDSA_WITH_SHA256, der(0x03, Buffer.from([0]), sign('sha256', body, privateKey)))
  const cert = `-----BEGIN CERTIFICATE-----\n${whole.toString('base64').replace(/.{64}/g, '$&\n').trimEnd()}\n-----END CERTIFICATE-----\n`
  return { cert, key: privateKey.export({ type: 'pkcs8', format: 'pem' }) }
}

/** Switches TLS on in a server of scripts/support/postgres.mjs; what a client verifies it by, a path. */
export async function secure(server) {
  const { cert, key } = selfSigned()
  const { uid, gid } = statSync(server.folder)
  const put = (name, content) => {
    const path = join(server.folder, 'data', name)
    writeFileSync(path, content, { mode: 0o600 })
    chownSync(path, uid, gid)
    return path
  }
  put('server.key', key)
  const path = put('server.crt', cert)
  await server.sql('ALTER SYSTEM SET ssl = on')
  await server.sql('SELECT pg_reload_conf()')
  await until('TLS', async () => (await server.sql('SHOW ssl'))[0].ssl === 'on')
  return path
}
