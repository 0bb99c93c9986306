// docs/errors.md as data: its tables, a row for each name of the first column.

import { readFileSync } from 'node:fs'
import { root } from './child.mjs'

/** The table below the first heading that begins with `heading`, or the `nth` below it, as Map of name → { column: text }. */
export function table(heading, nth = 0) {
  const text = readFileSync(`${root}docs/errors.md`, 'utf8')
  const section = text.split(/^## /m).find((part) => part.startsWith(heading))
  const [lines] = [section.match(/^\|(?:.*\n\|)*.*\n/gm)[nth]]
  const [columns, , ...rows] = lines.trim().split('\n').map((line) => line.split('|').slice(1, -1).map((cell) => cell.trim()))
  const found = new Map()
  for (const [first, ...cells] of rows) {
    for (const name of names(first)) {
      if (found.has(name)) throw new Error(`${name} stands twice in ${heading}`)
      found.set(name, Object.fromEntries(cells.map((cell, i) => [columns[i + 1], cell])))
    }
  }
  return found
}

/** What stands in backquotes. */
export const names = (cell) => [...cell.matchAll(/`([^`]+)`/g)].map((match) => match[1])

/** The codes that a method may reject with, by the second table and its groups. */
export function codesOf(method) {
  const all = ['INVALID_ARGUMENT', 'NODE_DESTROYED', 'FENCED', 'INTERNAL', 'ABORTED', 'TIMEOUT']
  const read = ['STORE_UNAVAILABLE', 'STATE_CORRUPT']
  const lease = [...read, 'WALLET_LOCKED']
  const groups = { read, lease, session: [...lease, 'LSP_UNAVAILABLE', 'CHAIN_UNAVAILABLE'] }
  const row = table('What each method').get(method)
  if (row[''] !== undefined && /never throws/.test(row[''])) return names(row.besides)
  const words = row.besides.split(/[, `]+/).filter((word) => word in groups)
  return [...all, ...names(row.besides), ...words.flatMap((word) => groups[word])]
}
