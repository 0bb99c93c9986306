// What index.d.ts declares, so that an option or an argument that the tables do not have fails a test.

import { readFileSync } from 'node:fs'
import ts from 'typescript'
import { root } from '../child.mjs'

const source = ts.createSourceFile('index.d.ts', readFileSync(`${root}index.d.ts`, 'utf8'), ts.ScriptTarget.Latest, true)
const statements = (kind) => source.statements.filter((statement) => statement.kind === kind)
const named = (kind, name) => statements(kind).find((statement) => statement.name.text === name)
const parameters = (signature) => signature.parameters.map((parameter) => parameter.name.getText())

/** The property names of an interface. */
export function properties(name) {
  return named(ts.SyntaxKind.InterfaceDeclaration, name).members.map((member) => member.name.getText())
}

/** `{ method: [parameter, …] }` of MdkNode, without symbols and getters. */
export function methods() {
  const { members } = named(ts.SyntaxKind.ClassDeclaration, 'MdkNode')
  const found = members.filter((member) => ts.isMethodDeclaration(member) && ts.isIdentifier(member.name))
  return Object.fromEntries(found.map((method) => [method.name.text, parameters(method)]))
}

/** The getters of MdkNode. */
export function getters() {
  const { members } = named(ts.SyntaxKind.ClassDeclaration, 'MdkNode')
  return members.filter(ts.isGetAccessor).map((getter) => getter.name.getText())
}

/** `{ function: [parameter, …] }` of the free functions. */
export function functions() {
  return Object.fromEntries(statements(ts.SyntaxKind.FunctionDeclaration).map((one) => [one.name.text, parameters(one)]))
}
