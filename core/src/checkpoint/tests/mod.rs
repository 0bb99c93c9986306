//! Output commit on real engines: two channel managers behind their gates, no socket between them.

mod behind;
mod broadcast;
mod committer;
mod deltas;
mod doubt;
mod gate;
mod lease;
mod pace;
mod pair;
mod payment;
mod recovery;

pub(crate) use pair::{deliver, engine, keys, load, Pair, Side};
