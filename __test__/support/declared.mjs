// What index.d.ts declares, by the TypeScript compiler's own reading.

import { readFileSync } from 'node:fs'
import ts from 'typescript'
import { root } from './child.mjs'

const source = () => ts.createSourceFile('index.d.ts', readFileSync(`${root}index.d.ts`, 'utf8'), ts.ScriptTarget.Latest, true)
const named = (is, name) => source().statements.find((item) => is(item) && item.name.text === name)

/** The methods and getters of a class; well-known symbols as `[Symbol.dispose]`. */
export function membersOf(name) {
  const members = named(ts.isClassDeclaration, name).members.filter((member) => !ts.isConstructorDeclaration(member))
  return members.map((member) => member.name.getText())
}

/** The functions. */
export function functions() {
  return source().statements.filter(ts.isFunctionDeclaration).map((item) => item.name.text)
}

/** The strings of a union. */
export function unionOf(name) {
  return named(ts.isTypeAliasDeclaration, name).type.types.map((type) => type.literal.text)
}
