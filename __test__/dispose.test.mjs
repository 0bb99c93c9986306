// `await using`, `using` and withNode: whatever way the block is left, the node is destroyed when the caller goes on, and what
// the caller sees is its own result or error. In syntax as TypeScript makes it of the same source, and as Node has it.

import assert from 'node:assert/strict'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { after, before, describe, test } from 'node:test'
import ts from 'typescript'
import { startLab } from '../scripts/support/lab.mjs'
import { MdkError, MdkNode, generateMnemonic, withNode } from '../index.mjs'
import { folder, rejection } from './support/life.mjs'
import { noThreads } from './support/threads.mjs'

const SOURCE = new URL('./support/using.mjs', import.meta.url)
// Beside the source, whose imports are relative.
const COMPILED = new URL(`./support/using-${process.pid}.mjs`, import.meta.url)

let lab
before(async () => (lab = await startLab()))
after(() => lab.stop())

const compiled = await compile()
/** undefined where Node can't parse it. */
const native = await import(SOURCE).catch((error) => {
  if (!(error instanceof SyntaxError)) throw error
})
const noSyntax = native === undefined && 'this Node has no `using`'

async function compile() {
  const compilerOptions = { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ES2022, lib: ['es2022', 'esnext.disposable'], allowJs: true }
  const { outputText, diagnostics } = ts.transpileModule(readFileSync(SOURCE, 'utf8'), { compilerOptions, reportDiagnostics: true })
  assert.deepEqual(diagnostics.map(({ messageText }) => messageText), [])
  writeFileSync(COMPILED, outputText)
  try {
    return await import(COMPILED)
  } finally {
    rmSync(COMPILED)
  }
}

const wallet = (t) => lab.options({ mnemonic: generateMnemonic(), store: `file:${folder(t)}` })

/** Each way of leaving a block, as [name, body, what the caller sees]. `mine` is the caller's error. */
const mine = new Error('mine')
const EXITS = [
  ['returns', async () => 5, 5],
  ['returns while the node runs', async (node) => (await node.startReceiving(), 5), 5],
  [
    'throws before the node was used',
    () => {
      throw mine
    },
    mine,
  ],
  [
    'throws while the node runs',
    async (node) => {
      await node.startReceiving()
      throw mine
    },
    mine,
  ],
  [
    'throws while calls wait',
    async (node) => {
      await node.startReceiving()
      node.nextEvent(60_000).catch(() => {})
      throw mine
    },
    mine,
  ],
  [
    'is aborted while it receives',
    async (node) => {
      const controller = new AbortController()
      const receiving = node.receivePayment(() => {}, { minMs: 60_000, signal: controller.signal })
      receiving.catch(() => {}) // it is the block's error
      await node.getBalance()
      controller.abort(mine)
      await receiving
    },
    { code: 'ABORTED', cause: mine },
  ],
  [
    'fails in the node',
    async (node) => {
      await node.ackEvent('never-was')
    },
    { code: 'INVALID_ARGUMENT' },
  ],
  [
    'has destroyed the node',
    async (node) => {
      await node.startReceiving()
      node.destroy()
      return 5
    },
    5,
  ],
  [
    'has destroyed the node and throws',
    async (node) => {
      node.destroy()
      throw mine
    },
    mine,
  ],
]

for (const [held, run, skip] of [
  ['await using, by TypeScript', compiled.awaitUsing, false],
  ['await using, by Node', native?.awaitUsing, noSyntax],
  ['using, by TypeScript', compiled.using, false],
  ['using, by Node', native?.using, noSyntax],
  ['withNode', withNode, false],
]) {
  describe(held, { skip }, () => {
    for (const [name, body, expected] of EXITS) {
      test(`a block that ${name}`, async (t) => {
        const options = wallet(t)
        let node
        const outcome = await run(options, (given) => body((node = given))).then((value) => ({ value }), (error) => ({ error }))
        assert.equal(node.state, 'destroyed')
        assert.deepEqual(node.lastDestroy.unfinished, [])
        await noThreads()
        if (typeof expected === 'number') assert.deepEqual(outcome, { value: expected })
        else if (expected === mine) assert.equal(outcome.error, mine)
        else for (const key of Object.keys(expected)) assert.equal(outcome.error?.[key], expected[key], outcome.error?.stack)
        await isFree(options)
      })
    }
  })
}

/** Another handle gets the wallet at once. */
async function isFree(options) {
  const next = new MdkNode({ ...options, lease: { attempts: 1 } })
  try {
    await next.start()
  } finally {
    next.destroy()
  }
}

for (const [held, run, skip] of [
  ['await using, by TypeScript', compiled, false],
  ['await using, by Node', native, noSyntax],
]) {
  describe(`${held}, when the node can't be stopped`, { skip }, () => {
    /** A node whose stop() takes this outcome. */
    const unstoppable = (node, error) => {
      node.stop = async () => {
        throw error
      }
      return node
    }
    const failure = () => new MdkError('STORE_UNAVAILABLE', 'the disk is gone', { retryable: true })

    test('it is destroyed all the same, and the caller hears why it was not stopped', async (t) => {
      const error = failure()
      let node
      const seen = await rejection(run.awaitUsing(wallet(t), async (given) => {
        node = unstoppable(given, error)
        await given.startReceiving()
      }))
      assert.equal(seen, error)
      assert.equal(node.state, 'destroyed')
      await noThreads()
    })

    test("the block's own error is not lost: it is what the other one suppressed", async (t) => {
      const error = failure()
      let node
      const seen = await rejection(run.awaitUsing(wallet(t), async (given) => {
        node = unstoppable(given, error)
        await given.startReceiving()
        throw mine
      }))
      assert.equal(seen.name, 'SuppressedError')
      assert.equal(seen.error, error)
      assert.equal(seen.suppressed, mine)
      assert.equal(node.state, 'destroyed')
      await noThreads()
    })

    for (const code of ['FENCED', 'NODE_DESTROYED']) {
      test(`a node that is over (${code}) hides nothing`, async (t) => {
        const over = new MdkError(code, 'over')
        const seen = await rejection(run.awaitUsing(wallet(t), async (node) => {
          unstoppable(node, over)
          throw mine
        }))
        assert.equal(seen, mine)
        assert.equal(await run.awaitUsing(wallet(t), async (node) => (unstoppable(node, over), 5)), 5)
      })
    }
  })

  test(`${held}: a disposer of the caller's own that fails hides neither the block's error nor keeps the node`, { skip }, async (t) => {
    const own = new Error('own')
    let node
    const beside = {
      async [Symbol.asyncDispose]() {
        assert.equal(node.state, 'destroyed', 'the node goes first')
        throw own
      },
    }
    const seen = await rejection(run.awaitUsingBeside(beside, wallet(t), async (given) => {
      node = given
      await node.start()
      throw mine
    }))
    assert.equal(seen.error, own)
    assert.equal(seen.suppressed, mine)
  })
}
