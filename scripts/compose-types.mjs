// index.d.ts = native.d.ts (generated from Rust) without its internal parts + wrapper/declarations.d.ts.
// `--check` writes nothing and fails when the checked-in file is not what would be written.

import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'

const root = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url))

const HEADER = `// Composed of native.d.ts and wrapper/declarations.d.ts by scripts/compose-types.mjs; edit those.

/// <reference lib="esnext.disposable" />
`

/** What the loader exports for itself. */
const LOADER_ONLY = new Set(['__napiBindingTarget'])

export function compose() {
  const native = statements(root('native.d.ts')).filter(isPublic)
  const added = statements(root('wrapper/declarations.d.ts'))
  const extensions = new Map(added.filter(ts.isClassDeclaration).map((item) => [item.name.text, item]))
  const texts = native.map((item) =>
    ts.isClassDeclaration(item) ? classText(item, takeOut(extensions, item.name.text)) : text(item),
  )
  const rest = added.filter((item) => !ts.isClassDeclaration(item) || extensions.has(item.name.text))
  return [HEADER, ...texts, ...rest.map(text)].join('\n\n').replace(/\n{3,}/g, '\n\n') + '\n'
}

function statements(path) {
  const source = ts.createSourceFile(path, readFileSync(path, 'utf8'), ts.ScriptTarget.Latest, true)
  return [...source.statements]
}

function isPublic(item) {
  const names = ts.isVariableStatement(item) ? item.declarationList.declarations : [item]
  return !isInternal(item) && !names.some(({ name }) => LOADER_ONLY.has(name?.text))
}

function isInternal(item) {
  return ts.getJSDocTags(item).some((tag) => tag.tagName.text === 'internal')
}

function takeOut(map, key) {
  const value = map.get(key)
  map.delete(key)
  return value
}

function classText(item, extension) {
  const members = [...item.members, ...(extension?.members ?? [])].filter((member) => !isInternal(member))
  const head = `${docs(item)}export declare class ${item.name.text} {`
  return [head, ...members.map((member) => indented(text(member))), '}'].join('\n')
}

/** The declaration with its own doc comment, but not with what precedes that (a file's head comment). */
function text(item) {
  return docs(item) + item.getText().replace(/;$/, '')
}

function docs(item) {
  return (item.jsDoc ?? []).map((doc) => `${doc.getText()}\n`).join('')
}

/** Members keep the indentation of their source but for their first line and that of their comment. */
function indented(member) {
  return member
    .split('\n')
    .map((line) => (/^(\s{2,}|$)/.test(line) ? line : `  ${line.replace(/^ \*/, ' *')}`))
    .join('\n')
}

const check = process.argv.includes('--check')
if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const composed = compose()
  if (!check) {
    writeFileSync(root('index.d.ts'), composed)
  } else if (readFileSync(root('index.d.ts'), 'utf8') !== composed) {
    console.error('index.d.ts is not what its sources say: run "npm run types" and commit the result')
    process.exitCode = 1
  }
}
