//! Events that are committed and not acked, and the changes to them that the next commit carries.

use super::{EventType, PaymentEvent};
use crate::checkpoint::rows::{NODE, OUTBOX_PREFIX};
use crate::error::{shown, Code, Error, Result};
use crate::mutation::{self, Mutation};
use crate::store::{Batch, Rows};
use std::collections::BTreeMap;

/// No wallet counts so far; beyond it, the numbers of new events would come to an end.
const MOST: u64 = u64::MAX / 2;

/// The outbox of one wallet, in the order in which its events happened.
#[derive(Debug, Default)]
pub struct Outbox {
    /// Committed: may be handed out.
    committed: BTreeMap<u64, PaymentEvent>,
    /// Wait for the next commit.
    pending: BTreeMap<u64, PaymentEvent>,
    /// Acked: deleted by the next commit.
    acked: Vec<u64>,
    next: u64,
}

impl Outbox {
    /// Reads the rows of a claim. `next` is the number of the next event, from the node's row.
    pub fn load(rows: &Rows, next: u64) -> Result<Self> {
        let mut outbox = Outbox { next, ..Outbox::default() };
        for (key, bytes) in rows.range(OUTBOX_PREFIX.to_owned()..) {
            let Some(number) = key.strip_prefix(OUTBOX_PREFIX) else { break };
            let number = u64::from_str_radix(number, 16).map_err(|_| unreadable(key))?;
            // An ack deletes the row by the number: under any other name it would stay.
            if *key != self::key(number) {
                return Err(unreadable(key));
            }
            let event = serde_json::from_slice(bytes).map_err(|_| unreadable(key))?;
            outbox.committed.insert(number, event);
            outbox.next = outbox.next.max(number.saturating_add(1));
        }
        if outbox.next > MOST {
            return Err(unreadable(NODE));
        }
        Ok(outbox)
    }

    /// An event that the next commit makes durable.
    pub fn push(&mut self, event: PaymentEvent) {
        self.pending.insert(self.next, event);
        self.next += 1;
    }

    /// Whether an event of that id waits or is out.
    pub fn contains(&self, id: &str) -> bool {
        self.all().any(|event| event.id == id)
    }

    /// How many events of that type are not acked.
    pub fn count(&self, kind: EventType) -> usize {
        self.all().filter(|event| event.event_type == kind).count()
    }

    /// Whether an event of that type for that payment is not acked.
    pub fn tells(&self, kind: EventType, payment_hash: &str) -> bool {
        self.all().any(|event| event.event_type == kind && event.payment_hash == payment_hash)
    }

    fn all(&self) -> impl Iterator<Item = &PaymentEvent> {
        self.committed.values().chain(self.pending.values())
    }

    /// Takes a committed event out of sight; the next commit deletes it. False: no such event (acked before, or never there).
    pub fn ack(&mut self, id: &str) -> bool {
        let found = self.committed.iter().find(|(_, event)| event.id == id).map(|(number, _)| *number);
        let Some(number) = found else { return false };
        self.committed.remove(&number);
        self.acked.push(number);
        true
    }

    /// Whether a commit is needed for the outbox's sake.
    pub fn wants_commit(&self) -> bool {
        !self.pending.is_empty() || !self.acked.is_empty()
    }

    /// The number of the next event, for the node's row.
    pub fn next_number(&self) -> u64 {
        self.next
    }

    /// Writes the changes into a batch.
    pub fn stage(&self, batch: &mut Batch) -> Result<()> {
        for (number, event) in &self.pending {
            let bytes = serde_json::to_vec(event)
                .map_err(|error| Error::new(Code::Internal, format!("an event does not serialise: {error}")))?;
            batch.put(key(*number), bytes);
        }
        for number in &self.acked {
            batch.delete(key(*number));
        }
        Ok(())
    }

    /// Events that the next commit makes durable.
    pub fn pending(&self) -> impl Iterator<Item = &PaymentEvent> {
        self.pending.values()
    }

    /// The staged changes are durable: new events may be handed out.
    pub fn committed(&mut self) {
        self.committed.append(&mut self.pending);
        self.acked.clear();
    }

    /// Committed events, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &PaymentEvent> {
        let early = mutation::is_on(Mutation::EarlyEvents).then_some(&self.pending);
        self.committed.values().chain(early.into_iter().flatten().map(|(_, event)| event))
    }
}

fn key(number: u64) -> String {
    format!("{OUTBOX_PREFIX}{number:016x}")
}

fn unreadable(key: &str) -> Error {
    Error::new(
        Code::StateCorrupt,
        format!("row {} of the store does not load; nothing was sent or changed; restore the store from where it was written as a whole", shown(key, 80)),
    )
}
