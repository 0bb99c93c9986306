// The package as it lies in the checkout: both module systems, the types, and generated files that are what they must be.

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import * as esm from 'mayfly'
import { root } from './support/child.mjs'

const require = createRequire(import.meta.url)
const node = (...args) => spawnSync(process.execPath, args, { cwd: root, encoding: 'utf8' })

test('require and import give the same things', () => {
  const cjs = require('mayfly')
  assert.deepEqual(Object.keys(esm).sort(), Object.keys(cjs).sort())
  for (const name of Object.keys(cjs)) assert.equal(esm[name], cjs[name])
})

test('what is exported is what the types declare', () => {
  const declared = [...readFileSync(`${root}index.d.ts`, 'utf8').matchAll(/^export declare (?:class|function) (\w+)/gm)]
  assert.deepEqual(declared.map((match) => match[1]).sort(), Object.keys(esm).sort())
})

test('what a node can do is what the types declare', () => {
  const body = readFileSync(`${root}index.d.ts`, 'utf8').match(/^export declare class MdkNode \{([\s\S]*?)^\}/m)[1]
  const declared = [...body.matchAll(/^ {2}(?:get )?(\w+)\(/gm)].map((match) => match[1])
  assert.deepEqual(declared.sort(), Object.getOwnPropertyNames(esm.MdkNode.prototype).sort())
  assert.equal(typeof esm.MdkNode.prototype[Symbol.dispose], 'function')
  assert.equal(typeof esm.MdkNode.prototype[Symbol.asyncDispose], 'function')
})

test('a strict TypeScript handler compiles against the types', () => {
  const { status, stdout } = node('node_modules/typescript/bin/tsc', '--noEmit', '-p', 'tsconfig.json')
  assert.equal(status, 0, stdout)
})

test('index.d.ts is composed of what its sources say now', () => {
  const { status, stderr } = node('scripts/compose-types.mjs', '--check')
  assert.equal(status, 0, stderr)
})

test('the lock file names no registry', () => {
  const lock = JSON.parse(readFileSync(`${root}package-lock.json`, 'utf8'))
  for (const [path, entry] of Object.entries(lock.packages)) assert.equal(entry.resolved, undefined, path)
})
