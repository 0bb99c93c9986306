//! `postgres://…`, wallets in a PostgreSQL database: one writer each, on any machine.
//!
//! The lease is a row with a time to live, judged by the server's clock; its epoch and sequence number are the fence, checked by each
//! commit in the statement that writes (`postgres/sql.rs`). A holder that froze may try what it likes when it thaws: it is refused.
//!
//! What must hold:
//! * Each operation is one round trip on a connection that is there, and never a transaction over several.
//! * A dropped store, or an operation that is cut short, leaves no socket and no task (`postgres/link.rs`). The lease of a store that is
//!   only dropped ends with its time.
//! * A reply that is lost is never guessed at. Every operation can be repeated: a commit is known by its nonce, a claim by its holder
//!   id. So what fails on a connection that had been idle is asked once more on a new one (`postgres/line.rs`).
//! * Holder ids are drawn when claiming: a cloned process has none but what it claimed itself.

mod fault;
mod line;
mod link;
mod migrate;
mod schema;
mod sql;
mod tls;
mod wedge;

pub use migrate::{migrate, printed};
pub use schema::{CREATE as SCHEMA, GRANTS};

use super::{
    Batch, Claimant, Nonce, Outcome, Position, Rows, Seq, Server, Snapshot, Standing, Store, StoreFuture, WalletId,
};
use crate::config::PostgresUrl;
use crate::entropy;
use crate::error::{Code, Error, Result};
use fault::Fault;
use line::Line;
use sql::{Claim, Found, Hold, HolderId};
use std::cell::{Cell, RefCell};
use std::time::Duration;
use tokio_postgres::Client;

/// A holder that released in the same instant, or a lease that is about to end: no sooner than a round trip.
const SOONEST_RETRY: Duration = Duration::from_millis(50);

/// Claims whose fate is unknown are remembered up to here: more than a policy's attempts come to.
const CLAIMS_REMEMBERED: usize = 16;

/// A wallet's store in a PostgreSQL database.
pub struct PostgresStore {
    wallet: WalletId,
    line: Line,
    held: Option<Held>,
    /// Ids of ours that may stand in the lease's row.
    ours: RefCell<Vec<HolderId>>,
    /// A commit was cut short: the session that it left behind may have the row's lock.
    left_a_commit: bool,
    ttl: Duration,
}

#[derive(Clone, Copy)]
struct Held {
    holder: HolderId,
    epoch: u64,
}

/// A claim that was answered, and by whom.
type Answered = (HolderId, Found, Option<Server>);

impl PostgresStore {
    /// Does no I/O.
    pub fn open(url: &PostgresUrl, wallet: WalletId) -> Self {
        PostgresStore {
            wallet,
            line: Line::to(url),
            held: None,
            ours: RefCell::default(),
            left_a_commit: false,
            ttl: Claimant::of_process(0).ttl,
        }
    }

    async fn claim(&mut self, claimant: &Claimant) -> Result<Snapshot> {
        self.held = None;
        self.ttl = claimant.ttl;
        let mut is_new = false;
        // At most: no tables, then no row, then a row that is locked, then the claim.
        for attempt in 1..=4 {
            match self.try_claim(claimant, is_new, attempt * wedge::PATIENCE).await {
                Ok(Some((_, Found { lease: None, .. }, _))) => is_new = true,
                Ok(Some((holder, found, server))) => {
                    let taken = found.taken;
                    let judged = self.judged(holder, found, server);
                    if let (Err(_), Some(at)) = (&judged, taken) {
                        // Refused, it must not keep the next one waiting. What can't be sent is left to its time to live.
                        self.held = Some(Held { holder, epoch: at.epoch.0 });
                        let _ = self.let_go(at).await;
                        self.held = None;
                    }
                    return judged;
                }
                Ok(None) => {
                    self.line.hang_up();
                    let freed = wedge::free(&mut self.line, &self.wallet).await;
                    freed.map_err(|fault| self.line.error(fault))?;
                }
                Err(fault) if fault.is_no_table() => {
                    let made = self.line.ask(schema::create).await;
                    made.map_err(|fault| self.line.error(fault))?;
                    is_new = true;
                }
                Err(fault) => return Err(self.line.error(fault)),
            }
        }
        Err(self.line.error(Fault::Lost("the wallet's row is locked or gone again and again".to_owned())))
    }

    /// One claim and the load behind it; none: the claim had to wait for the row too long.
    async fn try_claim(
        &mut self,
        claimant: &Claimant,
        is_new: bool,
        patience: Duration,
    ) -> Result<Option<Answered>, Fault> {
        let (wallet, ours) = (&self.wallet, &self.ours);
        let question = async |client: &Client| {
            // Drawn for each time that it is asked: a claim that is late must not be taken for the one that was granted.
            let before = ours.borrow().clone();
            let holder: HolderId = entropy::random();
            remember(&mut ours.borrow_mut(), holder);
            let claim = Claim { wallet, claimant, holder: &holder, ours: &before };
            let heard = Cell::new(false);
            let row = async {
                if is_new {
                    claim.make_row(client).await?;
                }
                Ok(())
            };
            let take = async {
                let taken = claim.take(client).await;
                heard.set(true);
                taken
            };
            let too_long = async {
                tokio::time::sleep(patience).await;
                if heard.get() {
                    std::future::pending::<()>().await;
                }
            };
            // Polled, and so sent, in this order.
            let all = async { tokio::join!(biased; row, take, claim.load(client), sql::server(client)) };
            let (row, taken, found, server) = tokio::select! {
                all = all => all,
                () = too_long => return Ok(None),
            };
            row?;
            let found = Found { taken: taken?, ..found? };
            let server = match server {
                // A role that may not ask for the server's identity does without.
                Err(error) if error.as_db_error().is_some() => None,
                server => server?,
            };
            Ok(Some((holder, found, server)))
        };
        self.line.ask(question).await
    }

    fn judged(&mut self, holder: HolderId, found: Found, server: Option<Server>) -> Result<Snapshot> {
        let Found { taken, lease, rows, newest_row } = found;
        let Some(lease) = lease else { return Err(self.line.error(Fault::closed())) };
        if taken.is_none() {
            // It did not get the lease, and will not.
            self.ours.get_mut().retain(|ours| *ours != holder);
        }
        if lease.version != schema::VERSION {
            return Err(schema::foreign(lease.version, self.line.url()));
        }
        if lease.is_standby {
            return Err(fault::read_only(self.line.url(), "it is in recovery"));
        }
        if lease.synchronous_commit == "off" {
            let message = format!(
                "PostgreSQL at {} has synchronous_commit = off for this role, so it may forget what it said is committed, and the \
                 money with it; run ALTER ROLE … SET synchronous_commit = on",
                self.line.url()
            );
            return Err(Error::option("store", message));
        }
        // Taken, and perhaps taken over before the load: then the load has the new holder, and no rows.
        let ours = taken.filter(|taken| lease.is_ours && lease.position == *taken);
        let Some(position) = ours else { return Err(Error::locked(lease.holder, lease.left.max(SOONEST_RETRY))) };
        if newest_row > position.seq.0 {
            return Err(Error::new(
                Code::StateCorrupt,
                format!(
                    "PostgreSQL at {} has a row of commit {newest_row} in a wallet whose last commit is {}: somebody restored a part \
                     of the tables of the schema mayfly; restore all of it to one instant",
                    self.line.url(),
                    position.seq.0
                ),
            ));
        }
        self.ours = RefCell::new(vec![holder]);
        self.held = Some(Held { holder, epoch: position.epoch.0 });
        Ok(Snapshot { position, rows, server, moved: false })
    }

    /// The lease of that position, if it is the one that was claimed here.
    fn held_at(&self, at: Position) -> Option<(WalletId, HolderId, i64)> {
        let held = self.held.filter(|held| held.epoch == at.epoch.0)?;
        Some((self.wallet, held.holder, i64::try_from(held.epoch).ok()?))
    }

    async fn write(&mut self, at: Position, nonce: Nonce, batch: &Batch) -> Outcome {
        // The number after the last one that PostgreSQL can count is none.
        let seq = i64::try_from(at.seq.0).ok().filter(|seq| *seq < i64::MAX);
        let (Some((wallet, holder, epoch)), Some(seq)) = (self.held_at(at), seq) else { return Outcome::Fenced };
        let ttl = self.ttl;
        let hold = Hold { wallet: &wallet.0, holder: &holder, epoch, ttl };
        if self.left_a_commit {
            // The same bytes again would wait for it.
            if let Err(fault) = wedge::free(&mut self.line, &wallet).await {
                return Outcome::Unknown(self.line.error(fault));
            }
        }
        self.left_a_commit = true;
        let outcome = self.write_as(hold, at, seq, nonce, batch).await;
        self.left_a_commit = matches!(outcome, Outcome::Unknown(_));
        outcome
    }

    async fn write_as(&mut self, hold: Hold<'_>, at: Position, seq: i64, nonce: Nonce, batch: &Batch) -> Outcome {
        match self.line.ask(async |client: &Client| hold.commit(client, seq, nonce, batch).await).await {
            Ok(Some(seq)) => return Outcome::Committed(seq),
            Ok(None) => {}
            Err(fault) => return Outcome::Unknown(self.line.error(fault)),
        }
        // Not written, or written by the same bytes before: the lease's row knows.
        match self.line.ask(async |client: &Client| hold.resolve(client).await).await {
            Err(fault) => Outcome::Unknown(self.line.error(fault)),
            Ok(None) => Outcome::Fenced,
            Ok(Some(lease)) if lease.epoch != at.epoch.0 || lease.holder.as_deref() != Some(hold.holder) => {
                Outcome::Fenced
            }
            Ok(Some(lease))
                if lease.seq == at.seq.0 + 1 && lease.last_commit.as_deref() == Some(nonce.0.as_slice()) =>
            {
                Outcome::Committed(Seq(lease.seq))
            }
            Ok(Some(lease)) if lease.seq == at.seq.0 => {
                Outcome::Unknown(self.line.error(Fault::Lost("the commit was not applied".to_owned())))
            }
            Ok(Some(_)) => Outcome::Fenced,
        }
    }

    async fn renew(&mut self, at: Position) -> Result<Standing> {
        let Some((wallet, holder, epoch)) = self.held_at(at) else { return Ok(Standing::Fenced) };
        let hold = Hold { wallet: &wallet.0, holder: &holder, epoch, ttl: self.ttl };
        let seq = self.line.ask(async |client: &Client| hold.renew(client).await).await;
        Ok(seq.map_err(|fault| self.line.error(fault))?.map_or(Standing::Fenced, Standing::Held))
    }

    async fn let_go(&mut self, at: Position) -> Result<()> {
        let Some((wallet, holder, epoch)) = self.held_at(at) else { return Ok(()) };
        let hold = Hold { wallet: &wallet.0, holder: &holder, epoch, ttl: self.ttl };
        self.line
            .ask(async |client: &Client| hold.release(client).await)
            .await
            .map_err(|fault| self.line.error(fault))?;
        self.held = None;
        self.ours.get_mut().clear();
        Ok(())
    }

    async fn rows(
        &mut self,
        question: impl AsyncFn(&Client) -> Result<Vec<tokio_postgres::Row>, tokio_postgres::Error>,
    ) -> Result<Rows> {
        let answer = match self.line.ask(async |client: &Client| sql::rows_read(&question(client).await?)).await {
            // Where nobody has claimed yet, there is nothing.
            Err(fault) if fault.is_no_table() => return Ok(Rows::new()),
            answer => answer,
        };
        let (version, is_standby, rows) = answer.map_err(|fault| self.line.error(fault))?;
        match version {
            _ if is_standby => Err(fault::read_only(self.line.url(), "it is in recovery")),
            Some(schema::VERSION) => Ok(rows),
            version => Err(schema::foreign(version.unwrap_or(0), self.line.url())),
        }
    }
}

fn remember(ours: &mut Vec<HolderId>, holder: HolderId) {
    if ours.len() == CLAIMS_REMEMBERED {
        ours.remove(0);
    }
    ours.push(holder);
}

impl Store for PostgresStore {
    fn claim_and_load<'a>(&'a mut self, claimant: &'a Claimant) -> StoreFuture<'a, Result<Snapshot>> {
        Box::pin(self.claim(claimant))
    }

    fn commit<'a>(&'a mut self, at: Position, nonce: Nonce, batch: &'a Batch) -> StoreFuture<'a, Outcome> {
        Box::pin(self.write(at, nonce, batch))
    }

    fn ttl(&self) -> Option<Duration> {
        Some(self.ttl)
    }

    fn check<'a>(&'a mut self, at: Position) -> StoreFuture<'a, Result<Standing>> {
        Box::pin(self.renew(at))
    }

    fn release<'a>(&'a mut self, at: Position) -> StoreFuture<'a, Result<()>> {
        Box::pin(self.let_go(at))
    }

    fn read<'a>(&'a mut self, prefixes: &'a [&'a str]) -> StoreFuture<'a, Result<Rows>> {
        Box::pin(async move {
            let wallet = self.wallet;
            self.rows(async |client: &Client| sql::read(client, &wallet, prefixes).await).await
        })
    }

    fn read_last<'a>(
        &'a mut self,
        prefix: &'a str,
        before: Option<&'a str>,
        limit: usize,
    ) -> StoreFuture<'a, Result<Rows>> {
        Box::pin(async move {
            let wallet = self.wallet;
            self.rows(async |client: &Client| sql::read_last(client, &wallet, prefix, before, limit).await).await
        })
    }
}
