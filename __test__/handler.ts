// A handler as a user writes it; it is only compiled.

import {
  MdkNode,
  installShutdownHooks,
  isMdkError,
  setLogListener,
  shutdownWorker,
  withNode,
  type LogTarget,
  type MdkNodeOptions,
  type ReceivedPayment,
} from 'mayfly'

export async function sell(options: MdkNodeOptions): Promise<string> {
  const { bolt11 } = await new MdkNode(options).getInvoice(21_000, 'One report', 900, { timeoutMs: 1_000 })
  return bolt11
}

export async function woken(options: MdkNodeOptions, fulfil: (payment: ReceivedPayment) => Promise<void>): Promise<number> {
  using node = new MdkNode(options)
  try {
    const received = await node.receivePayment(fulfil, { signal: AbortSignal.timeout(50_000) })
    return received.reduce((sum, { amountMsat }) => sum + amountMsat, 0)
  } catch (error) {
    if (isMdkError(error) && error.code === 'WALLET_LOCKED') return 0
    throw error
  }
}

export async function drain(options: MdkNodeOptions): Promise<void> {
  await withNode(options, async (node) => {
    for await (const event of node.events({ signal: AbortSignal.timeout(1_000) })) {
      if (event.eventType === 'SkimRefused') return
    }
  })
}

export async function listen(options: MdkNodeOptions): Promise<string | undefined> {
  await using node = new MdkNode(options)
  await node.startReceiving()
  return (await node.nextEvent(1_000))?.paymentHash
}

export async function worker(): Promise<void> {
  const uninstall: () => void = installShutdownHooks({ signals: ['SIGTERM'], killAfterMs: 450 })
  await shutdownWorker({ exit: false, destroyTimeoutMs: 200 })
  uninstall()
}

export function watched(heard: Map<LogTarget, number>, stats: ReturnType<MdkNode['stats']>): number {
  setLogListener(({ target, fields }) => heard.set(target, Number(fields['durationMs'])), { default: 'warn', 'mayfly::lsp': 'trace', ldk: 'off' })
  // @ts-expect-error: no such target
  setLogListener(() => {}, { 'mayfly::lps': 'trace' })
  return stats?.destroy?.commitMs ?? stats?.longestCommitMs ?? 0
}
