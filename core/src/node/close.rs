//! `closeChannel`: asked of LDK when the LSP has confirmed that our state of the channel is current, and answered when the closing
//! transaction is committed and handed to the network.
//!
//! A forced close publishes our own commitment, which can't be bumped later: its fee is the one that both sides last agreed on.
//! It does not need the LSP; it waits for it as long as connecting may take, since a close that both agree on is cheaper and at once.

use super::command::Pending;
use super::link::Link;
use super::session::{Contact, Session};
use super::waiting::Waiting;
use crate::config::{shown, stray};
use crate::error::{Code, Error, Result};
use crate::guard::guarded;
use bitcoin::hex::FromHex;
use lightning::ln::channel_state::{ChannelDetails, ChannelShutdownState};
use lightning::ln::types::ChannelId;
use lightning::util::errors::APIError;
use tokio::time::Instant;

/// A `closeChannel`.
pub(super) struct CloseWaiter {
    channel: ChannelId,
    pub force: bool,
    pub pending: Pending<()>,
    /// Begun; when the LSP's consent is no longer waited for.
    pub until: Option<Instant>,
}

impl CloseWaiter {
    pub fn new(channel: ChannelId, force: bool, pending: Pending<()>) -> Self {
        CloseWaiter { channel, force, pending, until: None }
    }
}

/// A channel id as `listChannels` shows it. `INVALID_ARGUMENT` (`channelId`).
pub fn parse_channel_id(text: &str) -> Result<ChannelId> {
    <[u8; 32]>::from_hex(text).map(ChannelId).map_err(|_| {
        let what = format!("channelId is {}; it must be 64 hex characters{}", shown(text), stray(text));
        Error::argument("channelId", what)
    })
}

/// Begins what can begin, and answers what is done.
pub(super) async fn pursue(session: &mut Session, waiting: &mut Waiting) -> Result<()> {
    for mut waiter in std::mem::take(&mut waiting.closes) {
        let open = session.wallet.loaded.manager().list_channels();
        let channel = open.into_iter().find(|channel| channel.channel_id == waiter.channel);
        match (channel, waiter.until) {
            (None, None) => waiter.pending.send(Err(unknown(&waiter.channel))),
            // It waits for the LSP's word, or for its time to be over.
            (None, Some(until)) if in_doubt(session) && until <= Instant::now() && only_lsp_ends_it(session) => {
                waiter.pending.send(Err(unconfirmed()));
            }
            (None, Some(_)) if in_doubt(session) => waiting.closes.push(waiter),
            (None, Some(_)) => {
                // What closes it is committed since the last turn, and handed out.
                session.broadcasts_tried().await?;
                waiter.pending.send(Ok(()));
            }
            (Some(_), Some(until)) if until <= Instant::now() => waiter.pending.send(Err(late(session))),
            (Some(channel), None) => match begin(session, &waiter, &channel)? {
                Begun::Yes => {
                    waiter.until = Some(Instant::now() + session.config.timeouts.lsp);
                    waiting.closes.push(waiter);
                    // What LDK has to say or to publish now goes with the next turn.
                    session.wallet.loaded.wake().notify_one();
                }
                Begun::NotYet => waiting.closes.push(waiter),
                Begun::Refused(error) => waiter.pending.send(Err(error)),
            },
            (Some(_), Some(_)) => waiting.closes.push(waiter),
        }
    }
    Ok(())
}

enum Begun {
    Yes,
    NotYet,
    Refused(Error),
}

fn begin(session: &Session, waiter: &CloseWaiter, channel: &ChannelDetails) -> Result<Begun> {
    let (id, peer) = (&waiter.channel, &channel.counterparty.node_id);
    let up = session.link.as_ref().is_some_and(Link::is_up);
    let awaited = session.wallet.loaded.messages().awaits_reestablish_of(*peer, *id);
    let manager = session.wallet.loaded.manager();
    let asked = if waiter.force {
        if session.contact != Contact::Unreachable && (!up || awaited && session.reestablishes_until().is_some()) {
            return Ok(Begun::NotYet);
        }
        guarded("closing a channel", || {
            manager.force_close_broadcasting_latest_txn(id, peer, "the wallet closed this channel".to_owned())
        })?
    } else {
        if !up || awaited && session.reestablishes_until().is_some() {
            return Ok(Begun::NotYet);
        }
        if awaited {
            return Ok(Begun::Refused(Error::new(
                Code::LspUnavailable,
                "the LSP is connected and does not know this channel, or does not say so; force: true closes it without the LSP",
            )));
        }
        guarded("closing a channel", || manager.close_channel(id, peer))?
    };
    Ok(match asked {
        Ok(()) => Begun::Yes,
        // Begun by an earlier call, or by the LSP.
        Err(APIError::APIMisuseError { .. }) if is_closing(channel) => Begun::Yes,
        Err(error) => {
            Begun::Refused(Error::argument("channelId", format!("channel {id} can't be closed now: {error:?}")))
        }
    })
}

fn is_closing(channel: &ChannelDetails) -> bool {
    channel.channel_shutdown_state.is_some_and(|state| state != ChannelShutdownState::NotShuttingDown)
}

fn unknown(id: &ChannelId) -> Error {
    Error::argument("channelId", format!("no open channel has the id {id}: listChannels() shows those that there are"))
}

fn in_doubt(session: &Session) -> bool {
    session.wallet.loaded.broadcasts().is_in_doubt()
}

fn only_lsp_ends_it(session: &Session) -> bool {
    session.wallet.loaded.broadcasts().is_doubt_firm()
}

fn unconfirmed() -> Error {
    Error::new(
        Code::LspUnavailable,
        "the store moved to another server since the last commit, and the LSP has not confirmed that its state of the channel is the newest: an older one would cost the channel; the close is begun, and goes on when the LSP has",
    )
}

fn late(session: &Session) -> Error {
    let ms = session.config.timeouts.lsp.as_millis();
    Error::new(
        Code::Timeout,
        format!("the LSP did not agree to the close within {ms} ms; it is begun, and goes on whenever the wallet is connected; force: true closes without the LSP"),
    )
}
