// The smallest handler as an ES module: one invoice, printed.

import { MdkNode } from '../../index.mjs'

const { options } = JSON.parse(process.env.MAYFLY_BENCH_INPUT)
console.log((await new MdkNode(options).getInvoice(21_000, 'One report', 900)).bolt11)
