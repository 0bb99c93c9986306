//! Which transactions wait for the peer's word: our own commitments, and what spends their outputs.
//!
//! A store that went back in time (a restored backup, a lagging replica) holds commitments that were revoked since, and the peer
//! takes the whole channel as the penalty for publishing one. LDK publishes by itself when the chain demands it (a claimed HTLC is
//! about to expire), long before the peer could have said anything. So the commitment of a channel that was loaded waits
//! - until the peer's `channel_reestablish` has shown, in this session, that it is not revoked (`reestablish.rs`);
//! - or until the node has tried to hear that for long enough (`node/patience.rs`): then an HTLC's deadline weighs more than the
//!   suspicion that somebody exchanged the store.
//!
//! A store that stands on another server than the wallet was last committed to (a failed-over replica, a backup that was put in place) is
//! more than a suspicion: the last commits may be missing. Then no time is long enough, in this session and every later one, until the
//! peer has spoken (`NodeRow::moved`).
//!
//! What must hold: a commitment in doubt goes only through a later cut, whose commit proves that the lease is still ours. What
//! needs not wait: claims on the peer's commitment, penalties, sweeps, a cooperative close, and channels opened in this session.

use bitcoin::opcodes::all::OP_CLTV;
use bitcoin::script::{read_scriptint, Instruction};
use bitcoin::{OutPoint, Script, Transaction};
use std::collections::HashSet;

/// BOLT 3, commitment transaction: the upper eight bits of its sequence, and of its lock time. A cooperative close has others.
const SEQUENCE_MARK: u32 = 0x80;
const LOCK_TIME_MARK: u32 = 0x20;

/// Funding outputs whose spending by a commitment of ours is in doubt.
#[derive(Default)]
pub(super) struct Doubt {
    fundings: HashSet<OutPoint>,
    /// For a node that is its own authority: see `MessageGate::answer_unknown_channels`.
    never: bool,
    /// No time is long enough.
    firm: bool,
}

impl Doubt {
    /// Nothing is in doubt, now and later.
    pub fn never(&mut self) {
        self.never = true;
        self.fundings.clear();
    }

    /// The store moved: only the peer ends a doubt.
    pub fn is_firm_from_now(&mut self) {
        self.firm = !self.never;
    }

    /// Whether a doubt is left that only the peer can end.
    pub fn is_firm(&self) -> bool {
        self.firm && !self.fundings.is_empty()
    }

    /// A channel was loaded: is that its newest state?
    pub fn begin(&mut self, funding: OutPoint) {
        if !self.never {
            self.fundings.insert(funding);
        }
    }

    /// The peer has shown that it is.
    pub fn end(&mut self, funding: &OutPoint) {
        self.fundings.remove(funding);
    }

    /// The peer had its time, for every channel.
    pub fn end_all(&mut self) {
        if !self.firm {
            self.fundings.clear();
        }
    }

    /// Whether this is a commitment in doubt.
    pub fn concerns(&self, transaction: &Transaction) -> bool {
        obscured_number(transaction).is_some()
            && transaction.input.iter().any(|input| self.fundings.contains(&input.previous_output))
    }
}

/// The lowest expiry of the HTLCs that these claim from a commitment of ours: it stands in the script that the claim shows (BOLT 3,
/// received HTLC outputs).
pub(super) fn lowest_expiry(claims: &[Transaction]) -> Option<u32> {
    let inputs = claims.iter().flat_map(|claim| &claim.input);
    inputs.filter_map(|input| expiry_in(Script::from_bytes(input.witness.last()?))).min()
}

fn expiry_in(script: &Script) -> Option<u32> {
    let mut number = None;
    for instruction in script.instructions() {
        match instruction.ok()? {
            Instruction::PushBytes(bytes) => number = read_scriptint(bytes.as_bytes()).ok(),
            Instruction::Op(OP_CLTV) => return u32::try_from(number?).ok(),
            Instruction::Op(_) => number = None,
        }
    }
    None
}

/// The number that a commitment transaction carries, obscured (BOLT 3); `None`: it is none.
pub(super) fn obscured_number(transaction: &Transaction) -> Option<u64> {
    let [input] = transaction.input.as_slice() else { return None };
    let (sequence, lock_time) = (input.sequence.0, transaction.lock_time.to_consensus_u32());
    let is_commitment = sequence >> 24 == SEQUENCE_MARK && lock_time >> 24 == LOCK_TIME_MARK;
    let bits = |value: u32| u64::from(value & 0x00ff_ffff);
    is_commitment.then(|| bits(sequence) << 24 | bits(lock_time))
}

/// Those for which `is_root` holds with all that spends their outputs, and the rest; both in their order. LDK hands a commitment
/// and the claims of its HTLCs out in any order.
pub(super) fn with_descendants(
    transactions: Vec<Transaction>,
    is_root: impl Fn(&Transaction) -> bool,
) -> (Vec<Transaction>, Vec<Transaction>) {
    let mut family = HashSet::new();
    loop {
        let before = family.len();
        for transaction in &transactions {
            let spends_family = transaction.input.iter().any(|input| family.contains(&input.previous_output.txid));
            if spends_family || is_root(transaction) {
                family.insert(transaction.compute_txid());
            }
        }
        if family.len() == before {
            break;
        }
    }
    transactions.into_iter().partition(|transaction| family.contains(&transaction.compute_txid()))
}
