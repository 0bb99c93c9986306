//! `MdkNode`'s native half. Each method: parse → call core → map. The wrapper in `index.js` owns the instance, turns thrown
//! errors into rejections, and adds what napi can't bind.

use std::sync::Arc;
use std::time::Duration;

use mayfly_core::config::{shown, stray, Config};
use mayfly_core::error::{Error, Result};
use mayfly_core::failpoint::{self, Point};
use mayfly_core::invoice::MintRequest;
use mayfly_core::lsp::{self, scid};
use mayfly_core::node::{parse_channel_id, Call, Node, Query, Ready, SendAll, State};
use mayfly_core::onchain::destination;
use mayfly_core::reply::Reply;
use napi::bindgen_prelude::{Object, ToNapiValue, Unknown};
use napi::Env;
use napi_derive::napi;

use crate::cancel::CancelToken;
use crate::entry::entry;
use crate::env::{self, Handle};
use crate::promise::{mapped, promise};
use crate::shapes::{
    Balance, DestroyReport, JitRoute, NodeChannel, NodeStats, OnchainSend, PaymentEvent, PaymentMetadata,
    PaymentRecord, WakeBy, WatchReport,
};
use crate::{args, errors, options, panics};

/// The CLTV delta of an invoice whose scid the caller supplies, when no route is known that tells the LSP's: LDK's own
/// default for forwarding, 72 blocks.
const DEFAULT_CLTV_EXPIRY_DELTA: u16 = 72;

/// A Lightning node that lives for one request.
#[napi]
pub struct MdkNode {
    handle: Arc<Handle>,
}

#[napi]
impl MdkNode {
    /// Validates everything, opens nothing, starts nothing. Nodes of one wallet in one process share what runs, so they must have
    /// the same options, but for `jitRoute` and `destroyTimeoutMs`.
    ///
    /// Throws `INVALID_OPTION` with `option` set to the name of the first wrong option, dotted inside an object.
    #[napi(constructor, ts_args_type = "options: MdkNodeOptions")]
    pub fn new(env: &Env, options: Unknown, created_at: Option<String>) -> napi::Result<Self> {
        entry(env, || {
            let config = Config::parse(options::parse(env, &options)?)?;
            Ok(MdkNode { handle: env::registry(env)?.open(config, created_at)? })
        })
    }

    /// Where the node is in its life.
    #[napi(getter, ts_return_type = "NodeState")]
    pub fn state(&self, env: &Env) -> napi::Result<&'static str> {
        self.entry(env, || {
            Ok(match self.node().state() {
                State::Idle => "idle",
                State::Starting => "starting",
                State::Running => "running",
                State::Stopping => "stopping",
                State::Fenced => "fenced",
                State::Destroyed => "destroyed",
            })
        })
    }

    /// The wallet's node id, 66 hex characters. No I/O; the first call derives the keys, which takes some milliseconds.
    #[napi]
    pub fn get_node_id(&self, env: &Env) -> napi::Result<String> {
        self.entry(env, || self.node().node_id().map(|id| id.to_string()))
    }

    /// Takes the lease, boots and connects to the LSP. Idempotent.
    ///
    /// Rejects with `WALLET_LOCKED` (another holder lives), `STORE_UNAVAILABLE`, `LSP_UNAVAILABLE`, `CHAIN_UNAVAILABLE`,
    /// `STATE_CORRUPT`, `FENCED`.
    #[napi(ts_args_type = "options?: CallOptions", ts_return_type = "Promise<void>")]
    pub fn start<'e>(&self, env: &'e Env, options: Unknown, cancel: Option<&CancelToken>) -> napi::Result<Object<'e>> {
        self.entry(env, || {
            let call = args::call(env, &options, cancel)?;
            promise::<(), ()>(env, &self.handle, |reply| self.node().start(call, reply))
        })
    }

    /// Commits for the last time, disconnects and releases the wallet, unless another node of it in this process goes on. The object
    /// stays usable. Idempotent.
    #[napi(ts_args_type = "options?: CallOptions", ts_return_type = "Promise<void>")]
    pub fn stop<'e>(&self, env: &'e Env, options: Unknown, cancel: Option<&CancelToken>) -> napi::Result<Object<'e>> {
        self.entry(env, || {
            let call = args::call(env, &options, cancel)?;
            promise::<(), ()>(env, &self.handle, |reply| self.node().stop(call, reply))
        })
    }

    /// `start`, and ready to be paid when it resolves: channels reestablished, or the LSP connected.
    #[napi(ts_args_type = "options?: CallOptions", ts_return_type = "Promise<void>")]
    pub fn start_receiving<'e>(
        &self,
        env: &'e Env,
        options: Unknown,
        cancel: Option<&CancelToken>,
    ) -> napi::Result<Object<'e>> {
        self.entry(env, || {
            let call = args::call(env, &options, cancel)?;
            promise::<(), ()>(env, &self.handle, |reply| self.node().start_receiving(call, reply))
        })
    }

    /// The same as `stop`: a node that does not receive holds nothing.
    #[napi(ts_args_type = "options?: CallOptions", ts_return_type = "Promise<void>")]
    pub fn stop_receiving<'e>(
        &self,
        env: &'e Env,
        options: Unknown,
        cancel: Option<&CancelToken>,
    ) -> napi::Result<Object<'e>> {
        self.stop(env, options, cancel)
    }

    /// Ends the node, from any state, also while a call waits: that one rejects with `NODE_DESTROYED`. Disconnects, commits
    /// and releases within `destroyTimeoutMs`, then joins the node's thread, unless another node of the wallet in this process goes
    /// on: the last one does it. Synchronous, idempotent, never throws; what could
    /// not be done in time is in `lastDestroy`.
    #[napi]
    pub fn destroy(&self, env: &Env) -> napi::Result<()> {
        entry(env, || {
            // Not thrown: `destroy` stands in finally blocks, where it would hide the caller's own error.
            if let Err(error) = panics::caught(|| Ok(self.node().destroy())) {
                tracing::error!("destroy failed: {error}");
            }
            Ok(())
        })
    }

    /// What the last `destroy()` did; `null` before it.
    #[napi(getter)]
    pub fn last_destroy(&self, env: &Env) -> napi::Result<Option<DestroyReport>> {
        self.entry(env, || Ok(self.node().last_destroy().map(DestroyReport::from)))
    }

    /// What the node's latest session cost: when it reached what, and what passed between it and store, chain and LSP; `null`
    /// before the first. A session lasts from a call that needs the lease to the end of `stop()`.
    #[napi]
    pub fn stats(&self, env: &Env) -> napi::Result<Option<NodeStats>> {
        self.entry(env, || Ok(self.node().stats().map(|figures| NodeStats::of(figures, self.node().last_destroy()))))
    }

    /// Mints an invoice over `amountMsat` millisatoshi that expires after `expirySecs` seconds. With a known JIT route: pure
    /// computation. Without: a short leased session with the LSP learns the route first.
    ///
    /// Rejects with `INVALID_ARGUMENT`; without a route also with what `start` rejects with.
    #[napi(
        ts_args_type = "amountMsat: number, description: string, expirySecs: number, options?: CallOptions",
        ts_return_type = "Promise<PaymentMetadata>"
    )]
    pub fn get_invoice<'e>(
        &self,
        env: &'e Env,
        amount_msat: Unknown,
        description: Unknown,
        expiry_secs: Unknown,
        options: Unknown,
        cancel: Option<&CancelToken>,
    ) -> napi::Result<Object<'e>> {
        self.entry(env, || {
            let amount = args::integer("amountMsat", &amount_msat)?;
            self.invoice(env, mint_request(Some(amount), &description, &expiry_secs)?, &options, cancel)
        })
    }

    /// The same without an amount: the payer chooses.
    #[napi(
        ts_args_type = "description: string, expirySecs: number, options?: CallOptions",
        ts_return_type = "Promise<PaymentMetadata>"
    )]
    pub fn get_variable_amount_jit_invoice<'e>(
        &self,
        env: &'e Env,
        description: Unknown,
        expiry_secs: Unknown,
        options: Unknown,
        cancel: Option<&CancelToken>,
    ) -> napi::Result<Object<'e>> {
        self.entry(env, || self.invoice(env, mint_request(None, &description, &expiry_secs)?, &options, cancel))
    }

    /// Mints through a short channel id of the LSP that the caller supplies, `<block>x<transaction>x<output>`. No I/O.
    #[napi(
        ts_args_type = "scid: string, amountMsat: number, description: string, expirySecs: number, options?: CallOptions",
        ts_return_type = "Promise<PaymentMetadata>"
    )]
    #[allow(clippy::too_many_arguments, reason = "the arguments of the JavaScript method")]
    pub fn get_invoice_with_scid<'e>(
        &self,
        env: &'e Env,
        scid: Unknown,
        amount_msat: Unknown,
        description: Unknown,
        expiry_secs: Unknown,
        options: Unknown,
        cancel: Option<&CancelToken>,
    ) -> napi::Result<Object<'e>> {
        self.entry(env, || {
            let route = self.route_through(&scid)?;
            let amount = args::integer("amountMsat", &amount_msat)?;
            let request = mint_request(Some(amount), &description, &expiry_secs)?;
            args::call(env, &options, cancel)?;
            self.mint(env, &request, &route)
        })
    }

    /// The same without an amount: the payer chooses.
    #[napi(
        ts_args_type = "scid: string, description: string, expirySecs: number, options?: CallOptions",
        ts_return_type = "Promise<PaymentMetadata>"
    )]
    pub fn get_variable_amount_jit_invoice_with_scid<'e>(
        &self,
        env: &'e Env,
        scid: Unknown,
        description: Unknown,
        expiry_secs: Unknown,
        options: Unknown,
        cancel: Option<&CancelToken>,
    ) -> napi::Result<Object<'e>> {
        self.entry(env, || {
            let route = self.route_through(&scid)?;
            let request = mint_request(None, &description, &expiry_secs)?;
            args::call(env, &options, cancel)?;
            self.mint(env, &request, &route)
        })
    }

    /// The route to mint with: read or learnt from the LSP. Put it into the environment, and mint without I/O from then on.
    #[napi(ts_args_type = "options?: CallOptions", ts_return_type = "Promise<JitRoute>")]
    pub fn get_jit_route<'e>(
        &self,
        env: &'e Env,
        options: Unknown,
        cancel: Option<&CancelToken>,
    ) -> napi::Result<Object<'e>> {
        self.entry(env, || {
            let call = args::call(env, &options, cancel)?;
            promise::<lsp::JitRoute, JitRoute>(env, &self.handle, |reply| self.node().jit_route(call, reply))
        })
    }

    /// The oldest event that is unacked and not out with another handle of this wallet in this process, waiting up to
    /// `timeoutMs` milliseconds (default 0) for one; then `null`.
    #[napi(ts_args_type = "timeoutMs?: number, options?: CallOptions", ts_return_type = "Promise<PaymentEvent | null>")]
    pub fn next_event<'e>(
        &self,
        env: &'e Env,
        timeout_ms: Unknown,
        options: Unknown,
        cancel: Option<&CancelToken>,
    ) -> napi::Result<Object<'e>> {
        self.entry(env, || {
            let wait = args::millis_or("timeoutMs", &timeout_ms, Duration::ZERO)?;
            let call = args::call(env, &options, cancel)?;
            mapped(env, &self.handle, event, |reply| self.node().next_event(wait, call, reply))
        })
    }

    /// The next event for an `events()` loop, which waits without end.
    /// @internal
    #[napi]
    pub fn await_event<'e>(&self, env: &'e Env, cancel: Option<&CancelToken>) -> napi::Result<Object<'e>> {
        self.entry(env, || {
            let call = args::abortable(cancel)?;
            mapped(env, &self.handle, event, |reply| self.node().await_event(call, reply))
        })
    }

    /// Resolves after the commit that removes the event: it is never delivered again.
    #[napi(ts_args_type = "eventId: string, options?: CallOptions", ts_return_type = "Promise<void>")]
    pub fn ack_event<'e>(
        &self,
        env: &'e Env,
        event_id: Unknown,
        options: Unknown,
        cancel: Option<&CancelToken>,
    ) -> napi::Result<Object<'e>> {
        self.entry(env, || {
            let id = args::text("eventId", &event_id)?;
            let call = args::call(env, &options, cancel)?;
            promise::<(), ()>(env, &self.handle, |reply| self.node().ack_event(id, call, reply))
        })
    }

    /// The first step of `receivePayment`. False: another call of the wallet in this process has received meanwhile.
    /// @internal
    #[napi]
    pub fn receive_begin<'e>(
        &self,
        env: &'e Env,
        options: Unknown,
        cancel: Option<&CancelToken>,
    ) -> napi::Result<Object<'e>> {
        self.entry(env, || {
            let (limits, call) = args::receive(env, &options, cancel)?;
            let leads = |ready| ready == Ready::Up;
            mapped(env, &self.handle, leads, |reply| self.node().receive_begin(limits, call, reply))
        })
    }

    /// The next payment of `receivePayment`, or `null` at its end.
    /// @internal
    #[napi]
    pub fn receive_next<'e>(&self, env: &'e Env, cancel: Option<&CancelToken>) -> napi::Result<Object<'e>> {
        self.entry(env, || {
            let call = args::abortable(cancel)?;
            mapped(env, &self.handle, event, |reply| self.node().receive_next(call, reply))
        })
    }

    /// `receivePayment`'s caller failed to act on the event: any handle of the wallet may have it again.
    /// @internal
    #[napi]
    pub fn give_back(&self, env: &Env, event_id: Unknown) -> napi::Result<()> {
        self.entry(env, || {
            self.node().give_back(&args::text("eventId", &event_id)?);
            Ok(())
        })
    }

    /// For a cron, so that nothing is lost while nobody pays: takes the lease, follows the chain, does what it asks for (claims,
    /// penalties, their repetition), tells the LSP the preimages that it has not heard, and gives the lease back. Does without the
    /// LSP when nothing needs it, and when it is away: then what must be claimed is claimed on chain. On a node that runs it looks
    /// at the chain once more, and the node goes on running.
    ///
    /// Run it at the latest at the report's `nextBy`. Every hour is good: it costs little, and a claim on chain has hours, not days.
    ///
    /// Rejects with `WALLET_LOCKED` (the holder does all this), `STORE_UNAVAILABLE`, `CHAIN_UNAVAILABLE`, `STATE_CORRUPT`, `FENCED`.
    #[napi(ts_args_type = "options?: CallOptions", ts_return_type = "Promise<WatchReport>")]
    pub fn watch<'e>(&self, env: &'e Env, options: Unknown, cancel: Option<&CancelToken>) -> napi::Result<Object<'e>> {
        self.entry(env, || {
            let call = args::call(env, &options, cancel)?;
            promise::<_, WatchReport>(env, &self.handle, |reply| self.node().watch(call, reply))
        })
    }

    /// Run the node again before that, `watch()` or any other way: the LSP has not heard a claimed payment's preimage yet, or a
    /// closed channel's claim is not final. `null` when nothing is at stake, as far as this object knows: it learns it from the
    /// store with any call that reads it, such as `getBalance`.
    #[napi(getter)]
    pub fn wake_by(&self, env: &Env) -> napi::Result<Option<WakeBy>> {
        self.entry(env, || Ok(self.node().wake_by().map(WakeBy::from)))
    }

    /// What the wallet owns, from the last commit; needs no lease.
    #[napi(ts_args_type = "options?: CallOptions", ts_return_type = "Promise<Balance>")]
    pub fn get_balance<'e>(
        &self,
        env: &'e Env,
        options: Unknown,
        cancel: Option<&CancelToken>,
    ) -> napi::Result<Object<'e>> {
        self.entry(env, || {
            let call = args::call(env, &options, cancel)?;
            promise::<_, Balance>(env, &self.handle, |reply| self.node().balance(call, reply))
        })
    }

    /// Closes a channel. Cooperatively: resolves when the LSP has agreed and the closing transaction is committed and was handed to
    /// the network; payments under way end first, and one that goes on too long is `TIMEOUT` (the close goes on with later
    /// sessions). With `force`: publishes this wallet's own commitment transaction, also when the LSP is gone; its fee can't be
    /// raised later, and the money is locked for the channel's delay. Either way it comes back on chain: `pendingCloseSats`, then
    /// `onchainSats`, in sessions that run later.
    ///
    /// Rejects with `INVALID_ARGUMENT` (`channelId`) if no such channel is open, and with what `start` rejects with.
    #[napi(
        ts_args_type = "channelId: string, options?: CallOptions & { force?: boolean }",
        ts_return_type = "Promise<void>"
    )]
    pub fn close_channel<'e>(
        &self,
        env: &'e Env,
        channel_id: Unknown,
        options: Unknown,
        cancel: Option<&CancelToken>,
    ) -> napi::Result<Object<'e>> {
        self.entry(env, || {
            let channel = parse_channel_id(&args::text("channelId", &channel_id)?)?;
            let (force, call) = args::close(env, &options, cancel)?;
            promise::<(), ()>(env, &self.handle, |reply| self.node().close_channel(channel, force, call, reply))
        })
    }

    /// An address for bitcoin (BIP 84, `m/84'/0'/0'/0/n`; coin type 1 on test networks). The same until something was paid to it.
    #[napi(ts_args_type = "options?: CallOptions", ts_return_type = "Promise<string>")]
    pub fn get_onchain_address<'e>(
        &self,
        env: &'e Env,
        options: Unknown,
        cancel: Option<&CancelToken>,
    ) -> napi::Result<Object<'e>> {
        self.entry(env, || {
            let call = args::call(env, &options, cancel)?;
            promise::<_, String>(env, &self.handle, |reply| self.node().onchain_address(call, reply))
        })
    }

    /// Sends every confirmed coin of the wallet to one address; `feeRate` in sat/vB, by default what confirms within two hours.
    /// Needs no LSP. Unconfirmed coins stay, and so do those worth less than their own fee. Resolves when the network took the
    /// transaction, which is sent out again in later sessions until it is six blocks deep.
    ///
    /// Rejects with `INVALID_ARGUMENT` (`address`, `feeRate`), `INSUFFICIENT_FUNDS`, `CHAIN_UNAVAILABLE`, and with what taking the
    /// wallet rejects with.
    #[napi(
        ts_args_type = "address: string, feeRate?: number, options?: CallOptions",
        ts_return_type = "Promise<OnchainSend>"
    )]
    pub fn send_all_onchain<'e>(
        &self,
        env: &'e Env,
        address: Unknown,
        fee_rate: Unknown,
        options: Unknown,
        cancel: Option<&CancelToken>,
    ) -> napi::Result<Object<'e>> {
        self.entry(env, || {
            let to = destination::parse_address(&args::text("address", &address)?, self.node().network())?;
            let sat_per_kw = args::rate_or("feeRate", &fee_rate)?.map(destination::parse_fee_rate).transpose()?;
            let call = args::call(env, &options, cancel)?;
            let send = SendAll { to, sat_per_kw };
            promise::<_, OnchainSend>(env, &self.handle, |reply| self.node().send_all_onchain(send, call, reply))
        })
    }

    /// The wallet's channels.
    #[napi(ts_args_type = "options?: CallOptions", ts_return_type = "Promise<Array<NodeChannel>>")]
    pub fn list_channels<'e>(
        &self,
        env: &'e Env,
        options: Unknown,
        cancel: Option<&CancelToken>,
    ) -> napi::Result<Object<'e>> {
        self.entry(env, || {
            let call = args::call(env, &options, cancel)?;
            let map = |all: Vec<_>| all.into_iter().map(NodeChannel::from).collect::<Vec<_>>();
            mapped(env, &self.handle, map, |reply| self.node().list_channels(call, reply))
        })
    }

    /// The payment with that hash, if it was received: as of the last commit, unacked or not; needs no lease. `null` if not.
    #[napi(
        ts_args_type = "paymentHash: string, options?: CallOptions",
        ts_return_type = "Promise<PaymentRecord | null>"
    )]
    pub fn get_payment<'e>(
        &self,
        env: &'e Env,
        payment_hash: Unknown,
        options: Unknown,
        cancel: Option<&CancelToken>,
    ) -> napi::Result<Object<'e>> {
        self.entry(env, || {
            let query = Query::one(&args::text("paymentHash", &payment_hash)?)?;
            let call = args::call(env, &options, cancel)?;
            let first = |found: Vec<_>| found.into_iter().next().map(PaymentRecord::from);
            mapped(env, &self.handle, first, |reply| self.node().payments(query, call, reply))
        })
    }

    /// The payments that were received, newest first, as of the last commit; needs no lease. A page costs the same however many
    /// there are.
    #[napi(ts_args_type = "options?: ListPaymentsOptions", ts_return_type = "Promise<Array<PaymentRecord>>")]
    pub fn list_payments<'e>(
        &self,
        env: &'e Env,
        options: Unknown,
        cancel: Option<&CancelToken>,
    ) -> napi::Result<Object<'e>> {
        self.entry(env, || {
            let (query, call) = args::list_payments(env, &options, cancel)?;
            let map = |all: Vec<_>| all.into_iter().map(PaymentRecord::from).collect::<Vec<_>>();
            mapped(env, &self.handle, map, |reply| self.node().payments(query, call, reply))
        })
    }
}

impl MdkNode {
    fn node(&self) -> &Node {
        self.handle.node()
    }

    /// Every method but `destroy`, which never throws. A panic in one stops the node: politely, since what runs was not touched.
    fn entry<T>(&self, env: &Env, body: impl FnOnce() -> Result<T>) -> napi::Result<T> {
        let mut panicked = true;
        let result = panics::caught(|| {
            failpoint::reached(Point::MidCall);
            let result = body();
            panicked = false;
            result
        });
        if panicked {
            self.node().stop(Call::default(), Reply::new(|_| ()));
        }
        result.map_err(|error| errors::throw(env, &error))
    }

    /// With a known route the invoice itself: the wrapper's promise is then resolved at once, without a threadsafe function.
    fn invoice<'e>(
        &self,
        env: &'e Env,
        request: MintRequest,
        options: &Unknown<'_>,
        cancel: Option<&CancelToken>,
    ) -> Result<Object<'e>> {
        let call = args::call(env, options, cancel)?;
        match self.node().known_route() {
            Some(route) => self.mint(env, &request, &route),
            None => {
                promise::<_, PaymentMetadata>(env, &self.handle, |reply| self.node().get_invoice(request, call, reply))
            }
        }
    }

    fn mint<'e>(&self, env: &'e Env, request: &MintRequest, route: &lsp::JitRoute) -> Result<Object<'e>> {
        match self.node().state() {
            State::Destroyed => return Err(Error::destroyed()),
            State::Fenced => return Err(Error::fenced()),
            State::Idle | State::Starting | State::Running | State::Stopping => {}
        }
        let metadata = PaymentMetadata::from(self.node().mint(request, route)?);
        object(env, metadata).map_err(errors::from_napi)
    }

    fn route_through(&self, scid: &Unknown<'_>) -> Result<lsp::JitRoute> {
        let text = args::text("scid", scid)?;
        let scid = scid::parse(&text)
            .map_err(|fault| Error::argument("scid", format!("scid is {}: {fault}{}", shown(&text), stray(&text))))?;
        let known = self.node().known_route().map(|route| route.cltv_expiry_delta);
        Ok(lsp::JitRoute { scid, cltv_expiry_delta: known.unwrap_or(DEFAULT_CLTV_EXPIRY_DELTA) })
    }
}

fn mint_request(amount_msat: Option<u64>, description: &Unknown<'_>, expiry_secs: &Unknown<'_>) -> Result<MintRequest> {
    Ok(MintRequest {
        amount_msat,
        description: args::text("description", description)?,
        expiry_secs: args::integer32("expirySecs", expiry_secs)?,
    })
}

fn event(event: Option<mayfly_core::events::PaymentEvent>) -> Option<PaymentEvent> {
    event.map(PaymentEvent::from)
}

fn object<'e>(env: &'e Env, value: impl ToNapiValue) -> napi::Result<Object<'e>> {
    // SAFETY: a live environment on its own thread; what a shape converts to is an object.
    let raw = unsafe { ToNapiValue::to_napi_value(env.raw(), value)? };
    Ok(Object::from_raw(env.raw(), raw))
}
