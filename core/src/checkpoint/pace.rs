//! How long to listen after our last word, so that a goodbye does not cut the peer short.
//!
//! A payment that reaches the peer while it waits for our `revoke_and_ack` stays behind that: the peer adds it to the channel
//! once our revocation is there and its own state is committed. If our goodbye comes first, the payment is in the channel and
//! was never sent: nothing tells us of it, no webhook follows, and it waits for the wallet's next wake.
//!
//! So after a revocation we listen for as long as the peer took to answer our last commitment, which was a round trip and a
//! commit of its own, too. The same when the peer revokes the commitment that still had a payment which we removed: its own commitment, without the
//! payment, follows, and waits for our revocation. Left before, it keeps the payment in the channel until the wallet's next wake.
//!
//! What can't be heard from here is a payment that the peer takes up while our goodbye travels and has
//! not sent when it arrives; only the peer can wake us for that one.

use lightning::ln::msgs::MessageSendEvent;
use std::time::Duration;
use tokio::time::Instant;

/// What the peer's next commit may take longer than its last one did.
const MARGIN: Duration = Duration::from_millis(20);
/// A peer that took longer than this to answer was not slow but away.
const LONGEST: Duration = Duration::from_secs(1);

/// See the module's head.
#[derive(Default)]
pub(super) struct Pace {
    /// Our commitment that is not answered yet.
    committed: Option<Instant>,
    /// How long the last answer took.
    answer: Duration,
    /// Our last revocation on this connection.
    revoked: Option<Instant>,
    /// That commitment of ours removed payments.
    removes: bool,
    /// The peer revoked what had them, and has not made a commitment since.
    owes: Option<Instant>,
}

impl Pace {
    /// These leave now.
    pub fn leaves(&mut self, events: &[MessageSendEvent]) {
        for event in events {
            match event {
                MessageSendEvent::UpdateHTLCs { updates, .. } => {
                    self.committed = Some(Instant::now());
                    self.removes |= !updates.update_fulfill_htlcs.is_empty()
                        || !updates.update_fail_htlcs.is_empty()
                        || !updates.update_fail_malformed_htlcs.is_empty();
                }
                MessageSendEvent::SendRevokeAndACK { .. } => self.revoked = Some(Instant::now()),
                _ => {}
            }
        }
    }

    /// The peer's `revoke_and_ack` came.
    pub fn answered(&mut self) {
        if let Some(committed) = self.committed.take() {
            self.answer = committed.elapsed();
        }
        if std::mem::take(&mut self.removes) {
            self.owes = Some(Instant::now());
        }
    }

    /// The peer's `commitment_signed` came.
    pub fn heard_commitment(&mut self) {
        self.owes = None;
    }

    /// The connection is gone, and with it what was under way.
    pub fn disconnected(&mut self) {
        *self = Pace { answer: self.answer, ..Pace::default() };
    }

    /// Until when the peer may still act on our last revocation, or follow up on its own.
    pub fn listen_until(&self) -> Option<Instant> {
        let last = self.revoked.into_iter().chain(self.owes).max();
        last.map(|last| last + (self.answer + MARGIN).min(LONGEST))
    }
}
