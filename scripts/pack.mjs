// What `npm pack` does first: builds the addon as it ships (fat LTO, stripped) and checks its size, the oldest glibc that it loads on,
// and that nothing of the tests is in it.

import { statSync } from 'node:fs'
import { join } from 'node:path'
import { addonBinary, buildAddon, ensureModules } from './setup.mjs'
import { output, root, run } from './run.mjs'
import { failpointsIn } from './support/failpoints.mjs'

/** A serverless function loads it at each cold start, and its whole package is limited. */
const MAX_BYTES = 16 * 1024 * 1024
/** Amazon Linux 2023, which AWS Lambda and Vercel run. */
const MAX_GLIBC = [2, 34]

ensureModules()
console.log('pack: building the release; fat LTO takes minutes')
buildAddon({ release: true })
const name = addonBinary()
const binary = join(root, name)
checkSize(binary)
checkGlibc(binary)
checkFailpoints(binary)
console.log(`pack: ${name} is the release build now; the next test makes the dev profile again`)

function checkSize(path) {
  const bytes = statSync(path).size
  console.log(`pack: ${name} is ${(bytes / 1024 / 1024).toFixed(2)} MB (at most ${MAX_BYTES / 1024 / 1024} MB)`)
  if (bytes > MAX_BYTES) fail('the binary is too big')
}

function checkGlibc(path) {
  const symbols = output('objdump', ['-T', path])
  if (symbols === undefined) {
    console.warn('pack: NOT CHECKED: the glibc version that the binary needs, because objdump (binutils) is missing')
    return
  }
  const needed = [...symbols.matchAll(/GLIBC_(\d+)\.(\d+)/g)].map(([, major, minor]) => [Number(major), Number(minor)])
  const [major, minor] = needed.toSorted((a, b) => a[0] - b[0] || a[1] - b[1]).at(-1) ?? [0, 0]
  console.log(`pack: it needs glibc ${major}.${minor} (at most ${MAX_GLIBC.join('.')})`)
  if (major > MAX_GLIBC[0] || (major === MAX_GLIBC[0] && minor > MAX_GLIBC[1])) fail('it would not load on Amazon Linux 2023')
}

function checkFailpoints(path) {
  const found = failpointsIn(path)
  if (found.length > 0) fail(`it has failpoints (${found.join(', ')}): a release is built without the rest of the workspace`)
}

function fail(why) {
  console.error(`pack: failed: ${why}`)
  process.exit(1)
}
