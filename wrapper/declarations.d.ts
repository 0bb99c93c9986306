// What the wrapper adds to the generated types. scripts/compose-types.mjs merges both into index.d.ts: members of a class
// that native.d.ts has are appended to it.

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

export declare class MdkNode {
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
