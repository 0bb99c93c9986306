// Esplora down, slow, or answering what no Esplora answers: CHAIN_UNAVAILABLE within the bounds, nothing believed, memory bounded,
// and a payment that the LSP holds is received when Esplora is back, by the same node.

import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { startLab } from '../scripts/support/lab.mjs'
import { within } from './support/life.mjs'
import {
  ROUTE_CALLS,
  SESSION_CALLS,
  TIMEOUTS,
  WATCH,
  assertTheRestWorks,
  eventually,
  failsWith,
  faulty,
  idle,
  lying,
  nodeOf,
  promised,
  wallet,
} from './support/services.mjs'

let lab
// Held for as long as the tests may take.
before(async () => (lab = await startLab({ args: ['--hold-ms', '600000'] })))
after(() => lab.stop())

/** CHAIN_UNAVAILABLE that names the service, the question and what to do. */
async function chainFails(call) {
  const error = await failsWith(call, 'CHAIN_UNAVAILABLE')
  assert.match(error.message, /Esplora at https?:\/\/[^/@]+, \//)
  assert.match(error.message, /retry|esploraUrl/)
  return error
}

describe('Esplora', () => {
  const faults = {
    'that tears every connection': (body) => faulty(lab, 'esplora', 'reset', body),
    'in a black hole': (body) => faulty(lab, 'esplora', 'blackhole', body),
    'that answers with web pages': (body) => lying(lab, 'html', body),
  }
  for (const [what, during] of Object.entries(faults)) {
    test(`${what} fails each call that needs it, and no other`, async (t) => {
      const { options, received } = await promised(lab, t, { timeouts: TIMEOUTS })
      const [node, routeless] = [nodeOf(t, options), nodeOf(t, wallet(lab, t, { timeouts: TIMEOUTS }))]
      await during(async () => {
        for (const call of Object.values({ ...SESSION_CALLS, ...WATCH })) {
          await chainFails(call(node))
          await idle(node)
        }
        for (const call of Object.values(ROUTE_CALLS)) await chainFails(call(routeless))
        await assertTheRestWorks(node)
        const another = nodeOf(t, options)
        await chainFails(another.start())
      })
      await received(node)
      assert.match((await eventually(() => routeless.getJitRoute())).scid, /^\d+x\d+x\d+$/)
    })
  }

  test("that nobody listens for is CHAIN_UNAVAILABLE with the address, without the key in the URL's path", async (t) => {
    const error = await chainFails(nodeOf(t, wallet(lab, t, { esploraUrl: 'http://127.0.0.1:1/hunter2-key/api' })).start())
    assert.match(error.message, /127\.0\.0\.1:1\b.*refused/i)
    assert.ok(!error.message.includes('hunter2'), error.message)
  })

  test("that answers late is given up at the call's own timeout, and the call begun later succeeds", async (t) => {
    const { options, received } = await promised(lab, t, { timeouts: { chainMs: 60_000, syncMs: 60_000 } })
    const node = nodeOf(t, options)
    await faulty(lab, 'esplora', 'blackhole', async () => {
      for (const call of [() => node.start({ timeoutMs: 200 }), () => node.startReceiving({ timeoutMs: 200 })]) {
        const error = await failsWith(call(), 'TIMEOUT')
        assert.match(error.message, /200 ms/)
        await idle(node)
      }
    })
    await received(node)
  })

  for (const [which, certificate] of Object.entries({ esploraTlsUrl: 'UnknownIssuer', esploraTlsWrongNameUrl: 'UnknownIssuer', esploraTlsExpiredUrl: 'expired' })) {
    test(`over TLS with a certificate that is not to be trusted (${which}) is CHAIN_UNAVAILABLE that says so`, async (t) => {
      const error = await chainFails(nodeOf(t, wallet(lab, t, { esploraUrl: lab.info[which] })).start())
      assert.match(error.message, /certificate/)
      assert.match(error.message, new RegExp(certificate))
    })
  }

  /** Each lie, and what the message says of it. */
  const lies = {
    html: /DOCTYPE/,
    truncated: /not what was asked/,
    brokenOff: /broke off/,
    emptyBody: /''/,
    500: /500 Internal Server Error: 'internal error'/,
    502: /502 Bad Gateway: an HTML page/,
    503: /503 Service Unavailable: 'overloaded'/,
    404: /404|knows no first block/,
    429: /429 Too Many Requests/,
    busy: /503 Service Unavailable: 'come back later'/,
    redirect: /redirects are not followed/,
    gzip: /encoding/,
    endlessBody: /more than 65536 bytes/,
    hugeBody: /more than 65536 bytes/,
    hugeBodyChunked: /more than 65536 bytes/,
    slowBody: /no answer in 500 ms/,
    silence: /no answer in 500 ms/,
    wrongHeader: /the header of another block/,
    noWork: /does not carry its work/,
    wrongNetwork: /is a server of mainnet, but the wallet's network is regtest/,
  }
  for (const [lie, words] of Object.entries(lies)) {
    test(`that answers ${lie} is not believed, and the payment comes when it tells the truth`, async (t) => {
      const { options, received } = await promised(lab, t, { timeouts: TIMEOUTS })
      const node = nodeOf(t, options)
      await lying(lab, lie, async () => {
        const error = await chainFails(node.start())
        assert.match(error.message, words)
        assert.equal(error.retryAfterMs, lie === '429' || lie === 'busy' ? 7_000 : undefined)
        await chainFails(node.receivePayment(() => assert.fail('received from a liar')))
      })
      await received(node)
    })
  }

  test('that fails once in a boot is asked again, and the boot succeeds', async (t) => {
    const options = wallet(lab, t)
    for (const [lie, path] of [['500', '/blocks/tip'], ['brokenOff', '/block/'], ['502', '/block-height']]) {
      const { told } = await lab.post('/esplora', { lie, path, times: 1 })
      const node = nodeOf(t, options)
      await node.start()
      await node.stop()
      node.destroy()
      const now = await lab.post('/esplora', { lie: null })
      assert.equal(now.told, told + 1, `${lie} was told`)
    }
  })

  test('that is down does not keep an event from being told and acked', async (t) => {
    const { options } = await promised(lab, t)
    const first = nodeOf(t, options)
    await first.startReceiving()
    const event = await first.nextEvent(20_000)
    assert.equal(event.eventType, 'Received')
    await first.stop()
    first.destroy()
    await faulty(lab, 'esplora', 'reset', async () => {
      const later = nodeOf(t, options)
      await chainFails(later.start())
      assert.equal((await later.nextEvent()).id, event.id, 'told again: it was not acked')
      await later.ackEvent(event.id)
      assert.equal(await later.nextEvent(), null)
    })
    assert.deepEqual(await nodeOf(t, options).receivePayment(() => {}, { minMs: 500 }), [], 'acked is acked')
  })

  test('that is gone under a running node does not hold up a payment, nor stop()', async (t) => {
    const node = nodeOf(t, wallet(lab, t))
    const { bolt11 } = await node.getInvoice(21_000, 'One report', 900)
    await node.startReceiving()
    await faulty(lab, 'esplora', 'blackhole', async () => {
      const paying = lab.pay(bolt11, 20_000)
      const event = await node.nextEvent(20_000)
      await node.ackEvent(event.id)
      assert.ok((await paying).preimage)
      await within(node.stop(), 'stop() to resolve')
    })
  })

  test('that says to come back later is not asked again', async (t) => {
    const { told } = await lab.post('/esplora', { lie: '429', path: '/blocks/tip' })
    await chainFails(nodeOf(t, wallet(lab, t)).start())
    const now = await lab.post('/esplora', { lie: null })
    assert.equal(now.told, told + 1)
  })

  test('that knows no fees does not matter', async (t) => {
    for (const lie of ['500', 'html', 'emptyBody', '429']) {
      await lying(lab, { lie, path: '/fee-estimates' }, async () => {
        const node = nodeOf(t, wallet(lab, t))
        await node.startReceiving()
        await node.stop()
      })
    }
  })
})

describe('the memory of a node', () => {
  const PROCESS = fileURLToPath(new URL('./support/hungry_process.mjs', import.meta.url))
  /** A gigabyte would show; what the allocator and V8 keep does not come near. */
  const MOST_MB = 64

  for (const lie of ['hugeBody', 'hugeBodyChunked', 'endlessBody']) {
    test(`stays where it was when Esplora answers ${lie}`, async (t) => {
      const child = fork(PROCESS, [JSON.stringify(wallet(lab, t))], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
      t.after(() => child.kill('SIGKILL'))
      const said = async (what) => {
        const [message] = await within(once(child, 'message'), `the child to be ${what}`)
        assert.equal(message.type, what, JSON.stringify(message))
        return message
      }
      await said('fed')
      await lying(lab, lie, async () => {
        child.send('go')
        const { codes, grownMb } = await said('refused')
        assert.deepEqual([...new Set(codes)], ['CHAIN_UNAVAILABLE'])
        t.diagnostic(`grew by ${grownMb.toFixed(1)} MB`)
        assert.ok(grownMb < MOST_MB, `its memory grew by ${grownMb} MB`)
      })
      child.send('go')
      await said('well')
    })
  }
})
