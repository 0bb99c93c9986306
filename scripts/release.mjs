// The addon as it ships, built beside the dev addon and never over it: what `npm run bench` measures. Fat LTO over all of
// LDK takes minutes, so it is built only when a source is newer.

import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ADDON_SOURCES, addonBinary, ensureModules, isFresh } from './setup.mjs'
import { root, run } from './run.mjs'

const FOLDER = 'target/release-addon'

/** Where the release addon is; undefined when it was never built. */
export function releaseAddon() {
  const name = addonBinary(join(root, FOLDER))
  return name === undefined ? undefined : join(root, FOLDER, name)
}

/** Builds it when it is not fresh; its path. Ends this process when the build fails. */
export function ensureReleaseAddon({ force = false } = {}) {
  ensureModules()
  const built = releaseAddon()
  if (!force && built !== undefined && isFresh(built, ADDON_SOURCES)) return built
  console.log('release: building the addon as it ships (fat LTO; takes minutes)')
  const cli = join(root, 'node_modules/@napi-rs/cli/dist/cli.js')
  // The loader and the types are those of the checkout: here they would only be a second copy.
  const flags = ['--platform', '--release', '--output-dir', FOLDER, '--no-js', '--dts', 'native.d.ts']
  run(process.execPath, [cli, 'build', ...flags])
  const path = releaseAddon()
  if (path === undefined) throw new Error(`napi build succeeded, but there is no mayfly.*.node for this machine in ${FOLDER}`)
  return path
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  console.log(`release: ${ensureReleaseAddon({ force: process.argv.includes('--force') })}`)
}
