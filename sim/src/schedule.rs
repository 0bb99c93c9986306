//! A schedule: steps as data, drawn from a seed. A step that is impossible where it comes does nothing, so that any of them
//! can be left out when a failure is minimised.

use crate::keys::Who;
use crate::rng::Rng;

/// What a payer does wrong, or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Pays what was asked.
    Good,
    /// Pays an invoice that names no amount.
    AnyAmount,
    /// Pays one millisatoshi less than was asked.
    Short,
    /// Pays with a secret that no invoice had.
    Stranger,
    /// Pays an invoice that was paid before.
    Again,
}

/// One step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The wallet works; if something waits for a commit, the store is asked.
    Turn,
    /// The store gets on with a commit by half a round trip.
    Store,
    /// What the wallet may say goes on the wire.
    Send,
    /// The LSP hears one message.
    ToPeer,
    /// The wallet hears one message.
    ToWallet,
    /// All of these, in the order of a quick network.
    Flow,
    /// The store loses the next commit on its way there.
    LoseRequest,
    /// The store loses its next answer.
    LoseReply,
    /// The store answers no more until the wallet gives up.
    StoreDies,
    /// JavaScript takes events and acknowledges the oldest.
    Acknowledge,
    /// A connection is made.
    Connect,
    /// The connection breaks.
    Disconnect,
    /// The wallet's process is killed, and another starts.
    KillWallet,
    /// The LSP restarts.
    KillPeer,
    /// Another process takes the wallet over while this one lives.
    TakeOver,
    /// The LSP opens a channel.
    Open { sats: u64 },
    /// A channel is closed: by agreement, or by publishing its commitment.
    Close { by: Who, force: bool, which: u8 },
    /// The LSP pays the wallet, in so many parts over its channels.
    Pay { parts: u8, msat: u64, kind: Kind },
    /// The wallet pays the LSP, which takes it or not.
    PayBack { parts: u8, msat: u64, good: bool },
    /// LDK's timer.
    Tick(Who),
    /// Blocks are mined; nobody has heard of them.
    Mine { blocks: u32 },
    /// The last blocks are replaced; their transactions are mined again, or wait.
    Reorganise { depth: u32, mine_again: bool },
    /// A node hears of the chain.
    Follow(Who),
    /// What a block costs, for one side.
    Fees { who: Who, sat_per_kw: u32 },
}

/// Steps of one schedule: a payment takes some twenty.
const LENGTH: usize = 400;

/// The schedule of a seed.
pub fn draw(seed: u64) -> Vec<Step> {
    let mut rng = Rng::new(seed);
    let mut steps = vec![Step::Connect, Step::Open { sats: 1_000_000 }];
    // Seeds have characters: a quick network or a torn one, a good store or a bad one.
    let torn = rng.below(3);
    let bad_store = rng.below(3);
    let blocks = rng.below(3);
    let closes = u64::from(rng.chance(1, 4));
    while steps.len() < LENGTH {
        steps.push(one(&mut rng, torn, bad_store, blocks, closes));
    }
    steps
}

/// How often, and how a step is made up.
type Weighted = (u64, fn(&mut Rng) -> Step);

fn one(rng: &mut Rng, torn: u64, bad_store: u64, blocks: u64, closes: u64) -> Step {
    let weights: [Weighted; 22] = [
        (10, |_| Step::Turn),
        (16, |_| Step::Store),
        (10, |_| Step::Send),
        (12, |_| Step::ToPeer),
        (16, |_| Step::ToWallet),
        (40, |_| Step::Flow),
        (bad_store, |_| Step::LoseRequest),
        (bad_store, |_| Step::LoseReply),
        (bad_store.min(1), |_| Step::StoreDies),
        (3, |_| Step::Acknowledge),
        (12, |_| Step::Connect),
        (torn, |_| Step::Disconnect),
        (torn.min(1), |_| Step::KillWallet),
        (torn.min(1), |_| Step::KillPeer),
        (torn.min(1), |_| Step::TakeOver),
        (1, |rng| Step::Open { sats: rng.pick(&[100_000, 500_000, 2_000_000]) }),
        (closes, |rng| Step::Close { by: who(rng), force: rng.chance(2, 3), which: rng.below(4) as u8 }),
        (9, pay),
        (5, pay_back),
        (2, |rng| Step::Tick(who(rng))),
        (2 * blocks, chain),
        (1, |rng| Step::Fees { who: who(rng), sat_per_kw: rng.pick(&[253, 500, 1_000, 2_500]) }),
    ];
    let all: u64 = weights.iter().map(|(weight, _)| weight).sum();
    let mut at = rng.below(all);
    for (weight, step) in weights {
        if at < weight {
            return step(rng);
        }
        at -= weight;
    }
    Step::Turn
}

fn who(rng: &mut Rng) -> Who {
    rng.pick(&[Who::Wallet, Who::Peer])
}

fn pay(rng: &mut Rng) -> Step {
    // Dust, small, and most of a channel.
    let msat = rng.pick(&[1_000, 300_000, 2_000_000, 20_000_000, 80_000_000, 250_000_000]) + rng.below(1_000);
    let kind = rng.pick(&[
        Kind::Good,
        Kind::Good,
        Kind::Good,
        Kind::Good,
        Kind::AnyAmount,
        Kind::Short,
        Kind::Stranger,
        Kind::Again,
    ]);
    Step::Pay { parts: 1 + rng.below(3) as u8, msat, kind }
}

fn pay_back(rng: &mut Rng) -> Step {
    let msat = rng.pick(&[1_000, 300_000, 2_000_000, 10_000_000]) + rng.below(1_000);
    Step::PayBack { parts: 1 + rng.below(2) as u8, msat, good: rng.chance(3, 4) }
}

fn chain(rng: &mut Rng) -> Step {
    match rng.below(4) {
        0 => Step::Mine { blocks: 1 + rng.below(4) as u32 },
        1 => Step::Reorganise { depth: 1 + rng.below(6) as u32, mine_again: rng.chance(1, 2) },
        _ => Step::Follow(who(rng)),
    }
}
