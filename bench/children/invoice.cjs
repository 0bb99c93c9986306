'use strict'
// The smallest handler: one invoice, printed.

const { MdkNode } = require('../../index.js')

const { options } = JSON.parse(process.env.MAYFLY_BENCH_INPUT)
new MdkNode(options).getInvoice(21_000, 'One report', 900).then(({ bolt11 }) => console.log(bolt11))
