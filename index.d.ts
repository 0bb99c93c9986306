// Composed of native.d.ts and wrapper/declarations.d.ts by scripts/compose-types.mjs; edit those.

/// <reference lib="esnext.disposable" />

/** A Lightning node that lives for one request. */
export declare class MdkNode {
  /**
   * Validates everything, opens nothing, starts nothing. Nodes of one wallet in one process share what runs, so they must have
   * the same options, but for `jitRoute` and `destroyTimeoutMs`.
   *
   * Throws `INVALID_OPTION` with `option` set to the name of the first wrong option, dotted inside an object.
   */
  constructor(options: MdkNodeOptions)
  /** Where the node is in its life. */
  get state(): NodeState
  /** The wallet's node id, 66 hex characters. No I/O; the first call derives the keys, which takes some milliseconds. */
  getNodeId(): string
  /**
   * Takes the lease, boots and connects to the LSP. Idempotent.
   *
   * Rejects with `WALLET_LOCKED` (another holder lives), `STORE_UNAVAILABLE`, `LSP_UNAVAILABLE`, `CHAIN_UNAVAILABLE`,
   * `STATE_CORRUPT`, `FENCED`.
   */
  start(options?: CallOptions): Promise<void>
  /**
   * Commits for the last time, disconnects and releases the wallet, unless another node of it in this process goes on. The object
   * stays usable. Idempotent.
   */
  stop(options?: CallOptions): Promise<void>
  /** `start`, and ready to be paid when it resolves: channels reestablished, or the LSP connected. */
  startReceiving(options?: CallOptions): Promise<void>
  /** The same as `stop`: a node that does not receive holds nothing. */
  stopReceiving(options?: CallOptions): Promise<void>
  /**
   * Ends the node, from any state, also while a call waits: that one rejects with `NODE_DESTROYED`. Disconnects, commits
   * and releases within `destroyTimeoutMs`, then joins the node's thread, unless another node of the wallet in this process goes
   * on: the last one does it. Synchronous, idempotent, never throws; what could
   * not be done in time is in `lastDestroy`.
   */
  destroy(): void
  /** What the last `destroy()` did; `null` before it. */
  get lastDestroy(): DestroyReport | null
  /**
   * What the node's latest session cost: when it reached what, and what passed between it and store, chain and LSP; `null`
   * before the first. A session lasts from a call that needs the lease to the end of `stop()`.
   */
  stats(): NodeStats | null
  /**
   * Mints an invoice over `amountMsat` millisatoshi that expires after `expirySecs` seconds. With a known JIT route: pure
   * computation. Without: a short leased session with the LSP learns the route first.
   *
   * Rejects with `INVALID_ARGUMENT`; without a route also with what `start` rejects with.
   */
  getInvoice(amountMsat: number, description: string, expirySecs: number, options?: CallOptions): Promise<PaymentMetadata>
  /** The same without an amount: the payer chooses. */
  getVariableAmountJitInvoice(description: string, expirySecs: number, options?: CallOptions): Promise<PaymentMetadata>
  /** Mints through a short channel id of the LSP that the caller supplies, `<block>x<transaction>x<output>`. No I/O. */
  getInvoiceWithScid(scid: string, amountMsat: number, description: string, expirySecs: number, options?: CallOptions): Promise<PaymentMetadata>
  /** The same without an amount: the payer chooses. */
  getVariableAmountJitInvoiceWithScid(scid: string, description: string, expirySecs: number, options?: CallOptions): Promise<PaymentMetadata>
  /** The route to mint with: read or learnt from the LSP. Put it into the environment, and mint without I/O from then on. */
  getJitRoute(options?: CallOptions): Promise<JitRoute>
  /**
   * The oldest event that is unacked and not out with another handle of this wallet in this process, waiting up to
   * `timeoutMs` milliseconds (default 0) for one; then `null`.
   */
  nextEvent(timeoutMs?: number, options?: CallOptions): Promise<PaymentEvent | null>
  /** Resolves after the commit that removes the event: it is never delivered again. */
  ackEvent(eventId: string, options?: CallOptions): Promise<void>
  /**
   * For a cron, so that nothing is lost while nobody pays: takes the lease, follows the chain, does what it asks for (claims,
   * penalties, their repetition), tells the LSP the preimages that it has not heard, and gives the lease back. Does without the
   * LSP when nothing needs it, and when it is away: then what must be claimed is claimed on chain. On a node that runs it looks
   * at the chain once more, and the node goes on running.
   *
   * Run it at the latest at the report's `nextBy`. Every hour is good: it costs little, and a claim on chain has hours, not days.
   *
   * Rejects with `WALLET_LOCKED` (the holder does all this), `STORE_UNAVAILABLE`, `CHAIN_UNAVAILABLE`, `STATE_CORRUPT`, `FENCED`.
   */
  watch(options?: CallOptions): Promise<WatchReport>
  /**
   * Run the node again before that, `watch()` or any other way: the LSP has not heard a claimed payment's preimage yet, or a
   * closed channel's claim is not final. `null` when nothing is at stake, as far as this object knows: it learns it from the
   * store with any call that reads it, such as `getBalance`.
   */
  get wakeBy(): WakeBy | null
  /** What the wallet owns, from the last commit; needs no lease. */
  getBalance(options?: CallOptions): Promise<Balance>
  /**
   * Closes a channel. Cooperatively: resolves when the LSP has agreed and the closing transaction is committed and was handed to
   * the network; payments under way end first, and one that goes on too long is `TIMEOUT` (the close goes on with later
   * sessions). With `force`: publishes this wallet's own commitment transaction, also when the LSP is gone; its fee can't be
   * raised later, and the money is locked for the channel's delay. Either way it comes back on chain: `pendingCloseSats`, then
   * `onchainSats`, in sessions that run later.
   *
   * Rejects with `INVALID_ARGUMENT` (`channelId`) if no such channel is open, and with what `start` rejects with.
   */
  closeChannel(channelId: string, options?: CallOptions & { force?: boolean }): Promise<void>
  /** An address for bitcoin (BIP 84, `m/84'/0'/0'/0/n`; coin type 1 on test networks). The same until something was paid to it. */
  getOnchainAddress(options?: CallOptions): Promise<string>
  /**
   * Sends every confirmed coin of the wallet to one address; `feeRate` in sat/vB, by default what confirms within two hours.
   * Needs no LSP. Unconfirmed coins stay, and so do those worth less than their own fee. Resolves when the network took the
   * transaction, which is sent out again in later sessions until it is six blocks deep.
   *
   * Rejects with `INVALID_ARGUMENT` (`address`, `feeRate`), `INSUFFICIENT_FUNDS`, `CHAIN_UNAVAILABLE`, and with what taking the
   * wallet rejects with.
   */
  sendAllOnchain(address: string, feeRate?: number, options?: CallOptions): Promise<OnchainSend>
  /** The wallet's channels. */
  listChannels(options?: CallOptions): Promise<Array<NodeChannel>>
  /** The payment with that hash, if it was received: as of the last commit, unacked or not; needs no lease. `null` if not. */
  getPayment(paymentHash: string, options?: CallOptions): Promise<PaymentRecord | null>
  /**
   * The payments that were received, newest first, as of the last commit; needs no lease. A page costs the same however many
   * there are.
   */
  listPayments(options?: ListPaymentsOptions): Promise<Array<PaymentRecord>>
  /**
   * The events, one after the other, waiting for the next. The previous event is acked when the next is asked for: one whose
   * handling threw, or broke out of the loop, is delivered again.
   */
  events(options?: { signal?: AbortSignal }): AsyncIterableIterator<PaymentEvent>
  /**
   * The whole webhook handler in one call: starts, calls `onPayment` for each payment and acks it when that resolves, and
   * stops when every claimed payment is fulfilled and nothing is under way. When `onPayment` fails, the node is stopped, its
   * error is rethrown, and the payment comes again.
   *
   * Rejects with what `start` rejects with.
   */
  receivePayment(
    onPayment: (payment: ReceivedPayment) => unknown,
    options?: ReceiveOptions,
  ): Promise<Array<ReceivedPayment>>
  /** Calls `destroy()`. */
  [Symbol.dispose](): void
  /** Awaits `stop()`, then calls `destroy()`. */
  [Symbol.asyncDispose](): Promise<void>
}

/** What the wallet owns, as of the last commit. */
export interface Balance {
  /** In channels, in millisatoshi. */
  lightningMsat: number
  /** What of it can be sent now, in millisatoshi. */
  spendableMsat: number
  /** On chain: confirmed, at addresses of this wallet, and not being sent; in satoshi. */
  onchainSats: number
  /** Coming back from closed channels: what waits for confirmations, a time lock, or its way to an address of this wallet; in satoshi. */
  pendingCloseSats: number
}

/**
 * The node id that a mnemonic has on a network: 66 hex characters, the same derivation as ldk-node, so existing wallets
 * keep theirs.
 *
 * Throws `INVALID_ARGUMENT` for a wrong mnemonic or network.
 */
export declare function deriveNodeId(mnemonic: string, network: Network): string

/** What the last `destroy()` did. */
export interface DestroyReport {
  /** How long it took, in milliseconds. */
  durationMs: number
  /** What it spent that on, when it was this node's to end what ran. */
  stages: DestroyStages
  /** What could not be done within `destroyTimeoutMs`; empty when all was. */
  unfinished: Array<string>
}

/** Milliseconds that each stage of a `destroy()` took, one after the other; absent: not come to, or not come through in time. */
export interface DestroyStages {
  /** Until the node's thread left whatever it did. */
  signalMs?: number
  /** Closing the connection to the LSP. */
  disconnectMs?: number
  /** The last commit. */
  commitMs?: number
  /** Giving the wallet back. */
  releaseMs?: number
  /** The end of the thread, with its sockets and tasks. */
  joinMs?: number
}

/**
 * A new BIP 39 mnemonic of 12 (default) or 24 words, from the operating system's randomness.
 *
 * Throws `INVALID_ARGUMENT` for another number of words.
 */
export declare function generateMnemonic(words?: 12 | 24): string

/** Enough to mint without I/O. Put it into the environment once; it is the `jitRoute` option. */
export interface JitRoute {
  /** The LSP's short channel id for this wallet, `<block>x<transaction>x<output>`. */
  scid: string
  /** The LSP's CLTV delta in blocks. */
  cltvExpiryDelta: number
}

/** One log record, or the end of a phase: then its fields say how long it took (`durationMs`) and how it went (`outcome`). */
export interface LogRecord {
  /** How bad it is. */
  level: LogLevel
  /** The part of the node that speaks. */
  target: LogTarget
  /** What it says. */
  message: string
  /** The record's own values, and the `session` and `epoch` that it belongs to. */
  fields: Record<string, string | number | boolean>
  /** When, in milliseconds since 1970. */
  timestampMs: number
}

/** A channel. */
export interface NodeChannel {
  /** 64 hex characters. */
  channelId: string
  /** The other side, 66 hex characters. */
  counterpartyNodeId: string
  /** The funding transaction's id, once it is known. */
  fundingTxid?: string
  /** The funding transaction's output. */
  fundingVout?: number
  /** `<block>x<transaction>x<output>`, once it is confirmed. */
  shortChannelId?: string
  /** Both sides together, in satoshi. */
  capacitySats: number
  /** What can be received, in millisatoshi. */
  inboundMsat: number
  /** What can be sent, in millisatoshi. */
  outboundMsat: number
  /** Both sides have said that it is open. */
  isReady: boolean
  /** It is ready and the peer is connected. */
  isUsable: boolean
  /** Of the funding transaction. */
  confirmations?: number
  /** Payments under way. */
  pendingHtlcs: number
}

/** Milliseconds since the session began; absent: not reached. */
export interface NodePhases {
  /** The lease is claimed; rows and chain tip are read. */
  claimedMs?: number
  /** The rows are a wallet in memory. */
  loadedMs?: number
  /** The wallet follows the chain to its tip. */
  syncedMs?: number
  /** The LSP is connected. */
  connectedMs?: number
  /** The first payment is committed. */
  receivedMs?: number
  /** The session is over: nothing is held. */
  endedMs?: number
}

/** What a session cost. Nothing is decided by these figures; they are for benchmarks, dashboards and questions. */
export interface NodeStats {
  /** The lease's fencing token: +1 with each claim of the wallet. 0 before the claim. */
  epoch: number
  /** When what was reached. */
  phases: NodePhases
  /** Milliseconds until the store gave the lease and the rows, waits for a held wallet included. */
  claimMs: number
  /** How often the wallet was asked for: more than once when another holder had it. */
  claimAttempts: number
  /** Milliseconds of waiting between these attempts. */
  heldMs: number
  /** Operations of the store (claim, commit, check, read, release), each one round trip. */
  storeRoundTrips: number
  /** Rows that it gave. Payments are not among them. */
  rowsLoaded: number
  /** How many of them say what changed in a channel since the row that has the whole of it: at most fifty per channel. */
  deltasLoaded: number
  /** Bytes of all their values. */
  bytesLoaded: number
  /** Transactions committed to the store. */
  commits: number
  /** Bytes of row values in them. */
  commitBytes: number
  /** Milliseconds that all of them took together. */
  commitMs: number
  /** Milliseconds of the longest. */
  longestCommitMs: number
  /** HTTP requests to Esplora, each one round trip. */
  chainRequests: number
  /** Bytes of Esplora's answers. */
  chainBytes: number
  /** TCP connections to the LSP. */
  lspConnections: number
  /** Connections that the LSP ended before it answered, as it does while it believes in an earlier one of this wallet. */
  lspRefusals: number
  /** How often the LSP was connected again after a connection to it had ended. */
  lspReconnects: number
  /** How often the LSP spoke after the node had. */
  lspRoundTrips: number
  /** Bytes to the LSP. */
  lspBytesSent: number
  /** Bytes from the LSP. */
  lspBytesReceived: number
  /** What this node's `destroy()` spent its time on. */
  destroy?: DestroyStages
}

/** What `sendAllOnchain` sent. */
export interface OnchainSend {
  /** The transaction, 64 hex characters. */
  txid: string
  /** What arrives, in satoshi. */
  amountSats: number
  /** What the miner gets, in satoshi. */
  feeSats: number
}

/** What happened to a payment. Given at least once, never lost; a repeat has the same `id`. */
export interface PaymentEvent {
  /** For `ackEvent`; stable across redeliveries, ordered as the events happened. */
  id: string
  /**
   * `Received`: claimed and committed, the money is ours. `SkimRefused`: the LSP wanted to keep more than the limit, or kept
   * something and did not say so, and the payment was refused; told once per payment until it is acked.
   */
  eventType: 'Received' | 'SkimRefused'
  /** 64 hex characters. */
  paymentHash: string
  /** LDK's id of this set of HTLCs, 64 hex characters. */
  paymentId?: string
  /** What arrived, net of the skim, in millisatoshi. */
  amountMsat?: number
  /** What the LSP kept, in millisatoshi. */
  skimmedMsat?: number
  /** Why it was refused. */
  reason?: string
  /** When it happened, in milliseconds since 1970. */
  timestampMs: number
  /** Run the node again before this block height: the LSP does not have the preimage yet. */
  wakeBy?: number
}

/** A minted invoice. */
export interface PaymentMetadata {
  /** The BOLT 11 invoice. */
  bolt11: string
  /** 64 hex characters. */
  paymentHash: string
  /** When it expires, in milliseconds since 1970. */
  expiresAt: number
  /** The LSP's short channel id that it is paid through, `<block>x<transaction>x<output>`. */
  scid: string
  /** In millisatoshi; absent when the payer chooses. */
  amountMsat?: number
}

/** A payment that was received, from the wallet's ledger. */
export interface PaymentRecord {
  /** 64 hex characters. An invoice is paid once, so it names one payment. */
  paymentHash: string
  /** The `id` of its `Received` event. */
  paymentId: string
  /** What arrived, net of the skim, in millisatoshi. */
  amountMsat: number
  /** What the LSP kept, in millisatoshi. */
  skimmedMsat: number
  /** When it was claimed, in milliseconds since 1970. */
  timestampMs: number
}

/**
 * Hears the records of all nodes of this process, from `minLevel` (default `'info'`) up; `null` ends it. `minLevel` is a level
 * for everything, or levels by target: `{ default: 'info', 'mayfly::lsp': 'debug', ldk: 'off' }`. One listener for the main
 * thread and one for each worker. It never keeps the process alive, what it throws is ignored, and when the JavaScript thread
 * is too busy to listen, records are dropped rather than queued without end.
 *
 * Throws `INVALID_ARGUMENT` for a callback that is no function, an unknown level or an unknown target.
 */
export declare function setLogListener(callback: ((record: LogRecord) => void) | null, minLevel?: LogLevel | LogLevels): void

/** When the wallet must run again. */
export interface WakeBy {
  /** Before this block height. */
  height: number
  /** When that block is expected, in milliseconds since 1970. */
  estimatedAt: number
}

/** What a `watch()` found and did. */
export interface WatchReport {
  /** The height to which the wallet followed the chain. */
  height: number
  /** From the call to the report, in milliseconds. */
  durationMs: number
  /**
   * `unneeded`: nothing needed the LSP, and it was not called. `unreachable`: it was tried, and something still needs it, or was
   * claimed on chain instead.
   */
  lsp: 'unneeded' | 'reached' | 'unreachable'
  /** Channels found closed, by id. */
  closedChannels: Array<string>
  /** Ids of the transactions that the network took in this run, or had already. */
  sent: Array<string>
  /** Ids of those that it did not take, or that did not reach it. The next run tries again. */
  unsent: Array<string>
  /** On chain and the wallet's, in satoshi. */
  onchainSats: number
  /** On its way from closed channels, in satoshi. */
  pendingCloseSats: number
  /** Something is at stake: run again before it, or lose it. */
  wakeBy?: WakeBy
  /**
   * Run again before it in any case: `wakeBy`, or the last block at which a cheating LSP can still be punished. Absent: there is no
   * channel to watch.
   */
  nextBy?: WakeBy
}

/** Which chain. There is no default: a wallet on the wrong chain is lost money. */
export type Network = 'mainnet' | 'testnet' | 'signet' | 'regtest'

/** Where a node is in its life. `fenced` and `destroyed` are final. */
export type NodeState = 'idle' | 'starting' | 'running' | 'stopping' | 'fenced' | 'destroyed'

/** From the most records to the least. */
export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error'

/** The part of a node that speaks; docs/logging.md says what of. The names stay. */
export type LogTarget =
  | 'mayfly::node'
  | 'mayfly::store'
  | 'mayfly::checkpoint'
  | 'mayfly::lsp'
  | 'mayfly::chain'
  | 'mayfly::wallet'
  | 'mayfly::onchain'
  | 'mayfly::process'
  | 'ldk'
  | 'other'

/**
 * What a log listener hears of each target. A name covers all that begin with it (`mayfly` covers `mayfly::lsp`), and the longest
 * decides. `default` (else `'info'`) is for those that none covers.
 */
export type LogLevels = { [target in 'default' | 'mayfly' | LogTarget]?: LogLevel | 'off' }

/** The options of `new MdkNode()`. An unknown key throws. */
export interface MdkNodeOptions {
  /** Which chain. */
  network: Network
  /** BIP 39 words; the checksum is verified. Never in a log, an error or `util.inspect`. */
  mnemonic: string
  /** The Esplora API, http(s). */
  esploraUrl: string
  /** The LSP's node id, 66 hex characters. */
  lspNodeId: string
  /** The LSP's `host:port`: IPv4, IPv6 in brackets, or a DNS name. */
  lspAddress: string
  /** Which liquidity protocol. Default `'auto'`: asks the LSP. */
  lspProtocol?: 'auto' | 'lsps4'
  /** From `getJitRoute()`. With it, invoices are minted without any I/O; without, the route is learnt first. */
  jitRoute?: JitRoute
  /**
   * Where the wallet lives: `postgres://…` for any number of machines, `file:<directory>` for one, `memory:` for tests. Connection
   * strings are taken as the platforms print them; TLS is required unless the server is on this machine or `sslmode=disable` says so.
   */
  store: string
  /** How to wait for a held wallet, and when it may be taken over. */
  lease?: LeaseOptions
  /** How long `destroy()` may take, in milliseconds. Default 250. */
  destroyTimeoutMs?: number
  /**
   * A node that runs without a call for so long stops itself, in milliseconds; 0: never. Default 30000. A call that waits, a payment
   * under way and a `receivePayment` are reasons to stay; an event that nobody acks and an `events()` loop are none.
   */
  maxIdleMs?: number
  /** What an LSP may keep of a payment beyond an agreed quote, in millionths. Default 30000. */
  maxSkimPpm?: number
  /** And on top of that, in millisatoshi. Default 0. */
  maxSkimBaseMsat?: number
  /**
   * The explicit word to give up channels whose state is lost: the store has none, an older one, or one that does not load.
   * Each is closed by the LSP, which pays out this wallet's side on chain; channels whose state is current are left alone.
   * Not for everyday: with it a wrong store URL closes channels.
   */
  recover?: 'force-close'
  /** Every other wait. */
  timeouts?: TimeoutOptions
}

/** The lease: the right to be the one node that runs a wallet. */
export interface LeaseOptions {
  /** How long it lives without a renewal, in milliseconds by the store's clock. Default 8000. */
  ttlMs?: number
  /** How often a held wallet is tried. Default 8. */
  attempts?: number
  /** The first pause between attempts, in milliseconds; it doubles. Default 250. */
  baseDelayMs?: number
  /** All pauses together, in milliseconds. Default 10000. */
  maxWaitMs?: number
  /** `'expired'` waits out the TTL; `'unrenewed'` (default) also takes a lease that was not renewed for 3 s. */
  takeOver?: 'expired' | 'unrenewed'
  /**
   * What you call this holder, for whoever looks into a database: at most 64 bytes, no control characters. It stands there in clear.
   */
  label?: string
}

/** Bounds of waits, each in milliseconds. */
export interface TimeoutOptions {
  /** One Esplora request. Default 5000. */
  chainMs?: number
  /** Following the chain from where the wallet was to the tip, all requests together. Default 20000, or `chainMs` if that is longer. */
  syncMs?: number
  /** One store operation. Default 5000. */
  storeMs?: number
  /** One TCP connect to the LSP. Default 3000. */
  connectMs?: number
  /** Being connected to the LSP, retries included. Default 25000. */
  lspMs?: number
  /** One LSPS request. Default 5000. */
  lspRequestMs?: number
  /** Ending cleanly in `stop()`. Default 5000. */
  stopMs?: number
  /** Resolving a commit whose outcome is unknown. Default 10000. */
  commitMs?: number
}

/** The last argument of every asynchronous method. */
export interface CallOptions {
  /** Ends the call with `ABORTED`; the signal's reason is the error's `cause`. */
  signal?: AbortSignal
  /** Ends the call with `TIMEOUT` after so many milliseconds. */
  timeoutMs?: number
}

/** Which payments `listPayments` gives. */
export interface ListPaymentsOptions extends CallOptions {
  /** No more than so many, 1 to 1000. Default 100. */
  limit?: number
  /** A payment hash: only what was received before that payment. Pass the last one's of a page to get the next page. */
  before?: string
}

/** When `receivePayment` is over. */
export interface ReceiveOptions {
  /** How long to wait for a first payment once the LSP is connected, in milliseconds. Default 1500. */
  minMs?: number
  /** How long nothing must happen after the last payment, in milliseconds. Default 50. */
  quietMs?: number
  /** When to end in any case, in milliseconds. Default 45000. */
  deadlineMs?: number
  /** Ends it with `ABORTED`. A payment whose `onPayment` runs is still acked. */
  signal?: AbortSignal
}

/** A payment that is ours. */
export type ReceivedPayment = PaymentEvent & { eventType: 'Received'; amountMsat: number }

/** Runs `body` with a new node and destroys it on every exit. The body's error comes first. */
export declare function withNode<T>(options: MdkNodeOptions, body: (node: MdkNode) => T | PromiseLike<T>): Promise<T>

/** How a worker leaves. */
export interface LeaveOptions {
  /** The exit code, 0 to 255. Default 0. */
  exitCode?: number
  /** When the process is ended by force (SIGKILL), in milliseconds from the call on. Default 3000. */
  killAfterMs?: number
  /**
   * How long all nodes together may take to end, in milliseconds; less than `killAfterMs`. Default 1000, or half of `killAfterMs`
   * if that is less.
   */
  destroyTimeoutMs?: number
}

/** The options of `shutdownWorker()`. An unknown key is refused. */
export interface ShutdownOptions extends LeaveOptions {
  /** Whether to exit. Default true. */
  exit?: boolean
}

/** The options of `installShutdownHooks()`. An unknown key throws. */
export interface ShutdownHookOptions extends LeaveOptions {
  /** The signals to hear. Default `['SIGTERM', 'SIGINT']`. */
  signals?: string[]
  /** Whether to shut down when the parent's IPC channel closes. Default true. */
  ipcDisconnect?: boolean
}

/**
 * Ends this worker: arms the kill timer, ends every wait for a lock and destroys every node of the process side by side within
 * `destroyTimeoutMs`, closes the IPC channel, and exits. Meanwhile nothing starts: such calls reject with `NODE_DESTROYED`.
 *
 * The kill timer is a native thread that needs nothing of Node: whatever hangs, the process is gone after `killAfterMs`. With
 * `exit: false` it is disarmed at the end, the promise resolves, and new nodes may be made. Calls that come meanwhile share the
 * shutdown; it exits if one of them asked for it.
 *
 * In a worker_thread it ends the nodes of that thread, and the thread; no kill timer is armed.
 *
 * Rejects with `INVALID_ARGUMENT` before anything is done.
 */
export declare function shutdownWorker(options?: ShutdownOptions): Promise<void>

/**
 * Calls `shutdownWorker` when one of the signals comes, and when the parent's IPC channel closes. The listener for that does not
 * keep the process alive. Returns the uninstaller. In a worker_thread, where neither comes, it installs nothing.
 *
 * Throws `INVALID_ARGUMENT`.
 */
export declare function installShutdownHooks(options?: ShutdownHookOptions): () => void

/** What the caller does next. */
export type MdkErrorCode =
  /** The call is wrong; nothing happened. `option` names what. */
  | 'INVALID_OPTION'
  | 'INVALID_ARGUMENT'
  /** Another holder is live. In a webhook handler answer 200: the holder receives the payment. */
  | 'WALLET_LOCKED'
  /** A newer holder took the wallet: this node is over, for ever. */
  | 'FENCED'
  /** Called after, or waiting during, `destroy()`. */
  | 'NODE_DESTROYED'
  /** The signal fired. */
  | 'ABORTED'
  /** The deadline passed. */
  | 'TIMEOUT'
  /** A service is down; nothing is lost. */
  | 'STORE_UNAVAILABLE'
  | 'LSP_UNAVAILABLE'
  | 'CHAIN_UNAVAILABLE'
  /** The LSP said no. */
  | 'LSP_REJECTED'
  /** The store's content does not load, is too old, or is missing. Nothing was sent or changed. */
  | 'STATE_CORRUPT'
  /** What is there is too little for this, fees included. */
  | 'INSUFFICIENT_FUNDS'
  /** There is no binary for this platform. */
  | 'UNSUPPORTED_PLATFORM'
  /** A bug of ours; the node is stopped, the process lives. */
  | 'INTERNAL'

/** Who holds a wallet. */
export interface Holder {
  /** Its process id on its host. */
  pid?: number
  /** Its host's name. */
  host?: string
  /** When it took the wallet, in milliseconds since 1970. */
  since: number
  /** Its epoch. */
  epoch: number
}

/** Every failure. The message explains and names the next step; it is not API, `code` is. */
export declare class MdkError extends Error {
  constructor(
    code: MdkErrorCode,
    message: string,
    details?: { retryable?: boolean; option?: string; retryAfterMs?: number; holder?: Holder; cause?: unknown },
  )
  readonly name: 'MdkError'
  readonly code: MdkErrorCode
  /** Whether the same call may succeed later without anyone changing anything. */
  readonly retryable: boolean
  /** The option or argument that was wrong, dotted inside an object. */
  readonly option?: string
  /** When a retry has a chance. */
  readonly retryAfterMs?: number
  /** With `WALLET_LOCKED`: who holds it. */
  readonly holder?: Holder
  readonly cause?: unknown
}

/** Whether `value` is an MdkError, also one of another realm or of another installed copy of mayfly. */
export declare function isMdkError(value: unknown): value is MdkError
