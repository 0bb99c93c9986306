//! The wallet's own bitcoin, tended beside a session's work: what the chain shows of it is looked up, and sweeps, replacements and
//! sends follow. One look per session, one after each time the chain was followed, and one for each `sendAllOnchain`.
//!
//! A look costs nothing while the wallet has nothing on chain. It waits until the LSP has confirmed that our state is current, or
//! had its time; a session that needs no LSP looks at once.

use super::command::{SendAll, Sent};
use super::session::Session;
use super::waiting::Waiting;
use crate::chain::Broadcast;
use crate::error::{Code, Error, Result};
use crate::onchain::look::{look, Findings};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// The look that is due, or under way.
pub(super) struct Tending {
    due: bool,
    looking: Option<Pin<Box<dyn Future<Output = Result<Findings>>>>>,
}

impl Default for Tending {
    fn default() -> Self {
        Tending { due: true, looking: None }
    }
}

impl Tending {
    /// The chain moved on.
    pub fn look_again(&mut self) {
        self.due = true;
    }

    /// Whether an answer is awaited: not yet the time to leave.
    pub fn is_looking(&self) -> bool {
        self.looking.is_some()
    }

    /// Whether nothing is due, nor under way.
    pub fn is_done(&self) -> bool {
        !self.due && self.looking.is_none()
    }

    /// Resolves with what was found.
    pub async fn looked(&mut self) -> Result<Findings> {
        match &mut self.looking {
            Some(looking) => {
                let found = looking.await;
                self.looking = None;
                found
            }
            None => std::future::pending().await,
        }
    }
}

/// Begins a look if one is due, and possible now.
pub(super) fn begin(session: &mut Session, waiting: &Waiting) {
    let asked = !waiting.sends.is_empty();
    let silent = session.link.as_ref().is_none_or(|link| !link.is_up()) && waiting.needs_link();
    let unconfirmed = silent || session.reestablishes_until().is_some();
    if session.tending.looking.is_some() || !asked && (!session.tending.due || unconfirmed) {
        return;
    }
    session.tending.due = false;
    let questions = session.wallet.questions(asked);
    if let (None, false) = (&questions, asked) {
        return;
    }
    let (esplora, fees) = (Arc::clone(&session.esplora), Arc::clone(&session.fees));
    session.tending.looking = Some(Box::pin(async move {
        let Some(questions) = questions else { return Ok(Findings::default()) };
        // What follows from the look is made at the price of the day; without one, at the last that was known.
        let (found, estimates) = tokio::join!(look(&esplora, questions), esplora.fee_estimates());
        if let Ok(estimates) = estimates {
            fees.update(&estimates);
        }
        found
    }));
}

/// Acts on what was found, and on what was asked for meanwhile.
pub(super) async fn act(session: &mut Session, waiting: &mut Waiting, found: Result<Findings>) -> Result<()> {
    match found {
        Ok(findings) => session.wallet.learn(findings)?,
        Err(error) => {
            tracing::warn!(reason = %error.message, "what is on chain could not be looked up; trying again later");
            waiting.fail_sends(&error);
            return Ok(());
        }
    }
    for (send, pending) in std::mem::take(&mut waiting.sends) {
        match send_all(session, send).await {
            Ok(result) => pending.send(result),
            Err(error) => {
                pending.send(Err(error.clone()));
                return Err(error);
            }
        }
    }
    Ok(())
}

/// Committed, then broadcast, then told. The outer error is the end of the session.
async fn send_all(session: &mut Session, send: SendAll) -> Result<Result<Sent>> {
    let spent = match session.wallet.send_all(send.to, send.sat_per_kw) {
        Ok(spent) => spent,
        Err(error) => return Ok(Err(error)),
    };
    let txid = spent.transaction.compute_txid();
    session.commit().await?;
    let broadcasting = session.esplora.broadcast(&spent.transaction);
    Ok(match session.wallet.committer.keeping(broadcasting).await? {
        Ok(Broadcast::Accepted) => {
            tracing::info!(%txid, sats = spent.amount_sats, "sent all coins");
            Ok(Sent { txid, amount_sats: spent.amount_sats, fee_sats: spent.fee_sats })
        }
        Ok(Broadcast::Rejected(reason)) => {
            session.wallet.forget_send(txid);
            session.commit().await?;
            Err(Error::new(
                Code::ChainUnavailable,
                format!("the network refused the transaction ({reason}); nothing was sent; a higher feeRate may help"),
            ))
        }
        Err(error) => Err(Error::new(
            error.code,
            format!("transaction {txid} is kept, and may not have reached the network ({}); it goes out again whenever the wallet runs", error.message),
        )),
    })
}
