// Handlers that hold their node by `using`. Not every Node parses this file: its tests run what TypeScript makes of it for those.

import { MdkNode } from '../../index.mjs'

export async function awaitUsing(options, body) {
  await using node = new MdkNode(options)
  return await body(node)
}

export async function using(options, body) {
  using node = new MdkNode(options)
  return await body(node)
}

/** With something of the caller's own, which goes last and fails. */
export async function awaitUsingBeside(own, options, body) {
  await using _own = own
  await using node = new MdkNode(options)
  return await body(node)
}
