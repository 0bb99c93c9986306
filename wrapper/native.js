'use strict'
// The generated loader, with an error that says what exists where it finds no binary.

const { MdkError } = require('./errors.js')

const TARGETS = ['linux x64 (glibc 2.34 or newer)', 'linux arm64 (glibc 2.34 or newer)']

function load() {
  try {
    return require('../native.js')
  } catch (cause) {
    throw new MdkError(
      'UNSUPPORTED_PLATFORM',
      `mayfly has no binary that loads on ${process.platform} ${process.arch}. It exists for: ${TARGETS.join(', ')}. ` +
        'It needs threads and raw TCP, so there is none for WebAssembly or edge runtimes. ' +
        'In a checkout, build it with "npm run build".',
      { cause },
    )
  }
}

module.exports = load()
