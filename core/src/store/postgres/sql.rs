//! The statements, each of them one transaction, and what their rows mean.
//!
//! Two designs that look right lose money, both reproduced and kept as tests (`core/tests/store_postgres_races.rs`):
//! * Claim and load in one statement. Its snapshot is older than its wait for the row's lock: it takes the lease after a commit that
//!   its load does not see. Hence CLAIM, then LOAD: two statements, sent together, the second with a snapshot of its own.
//! * A commit whose guard only reads the epoch. It passes while a claim is under way, and writes over what the new holder loaded.
//!   Hence COMMIT's guard updates the lease's row: it waits for the claim, looks again, and finds itself fenced.
//!
//! Time is the server's `clock_timestamp()`: `now()` is when the transaction began, before any wait.

use super::schema::VERSION;
use crate::config::TakeOver;
use crate::error::Holder;
use crate::store::{Batch, Claimant, Epoch, Nonce, Position, Rows, Seq, Server, WalletId, COLD_PREFIX};
use std::time::Duration;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Error, Row};

/// Sixteen random bytes that name one claim.
pub(super) type HolderId = [u8; 16];

const FIRST: &str = "\
INSERT INTO mayfly.lease (wallet, epoch, seq, since, renewed_at, expires_at)
VALUES ($1, 0, 0, clock_timestamp(), clock_timestamp(), clock_timestamp()) ON CONFLICT DO NOTHING";

// A plain UPDATE: INSERT … ON CONFLICT DO UPDATE locks the row even when it refuses, and 64 claimants that poll slow the holder
// down five times.
const CLAIM: &str = "\
UPDATE mayfly.lease l SET epoch = l.epoch + 1, holder = $2, pid = $6, host = $7, label = $8, since = clock_timestamp(),
       renewed_at = clock_timestamp(), expires_at = clock_timestamp() + make_interval(secs => $3)
 WHERE l.wallet = $1
   AND (l.holder IS NULL OR l.holder = ANY($5) OR l.expires_at <= clock_timestamp()
        OR l.renewed_at <= clock_timestamp() - make_interval(secs => $4))
   AND (SELECT m.version FROM mayfly.meta m) = $9 AND current_setting('synchronous_commit') <> 'off'
RETURNING l.epoch, l.seq";

// The wallet's lease, and its rows if it is held under $2. What is cold is skipped by two ranges of the key, not by a filter, so that it
// is not even looked at.
const LOAD: &str = "\
SELECT (SELECT m.version FROM mayfly.meta m), current_setting('synchronous_commit'), pg_is_in_recovery(), l.epoch, l.seq,
       l.holder = $2, l.pid, l.host, (extract(epoch FROM l.since) * 1000)::int8,
       extract(epoch FROM LEAST(l.expires_at, l.renewed_at + make_interval(secs => $3)) - clock_timestamp())::float8,
       l.holder IS NULL, i.key, i.seq, i.data
  FROM mayfly.lease l LEFT JOIN LATERAL (
       SELECT key, seq, data FROM mayfly.item WHERE wallet = l.wallet AND l.holder = $2 AND key < $4
       UNION ALL
       SELECT key, seq, data FROM mayfly.item WHERE wallet = l.wallet AND l.holder = $2 AND key >= $5) i ON true
 WHERE l.wallet = $1";

// The timeline is the one that is written now; the control file learns of a promotion with its next checkpoint.
const SERVER: &str = "\
SELECT (SELECT system_identifier FROM pg_control_system()), substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8)";

const COMMIT: &str = "\
WITH g AS (
  UPDATE mayfly.lease SET seq = seq + 1, last_commit = $5, renewed_at = clock_timestamp(),
         expires_at = clock_timestamp() + make_interval(secs => $6)
   WHERE wallet = $1 AND epoch = $2 AND holder = $3 AND seq = $4 RETURNING wallet, seq),
w AS (
  INSERT INTO mayfly.item (wallet, key, seq, data)
  SELECT g.wallet, u.key, g.seq, u.data FROM g, unnest($7::bytea[], $8::bytea[]) AS u(key, data)
  ON CONFLICT (wallet, key) DO UPDATE SET seq = EXCLUDED.seq, data = EXCLUDED.data),
d AS (DELETE FROM mayfly.item i USING g WHERE i.wallet = g.wallet AND i.key = ANY($9::bytea[]))
SELECT g.seq FROM g";

const RESOLVE: &str = "SELECT epoch, seq, holder, last_commit FROM mayfly.lease WHERE wallet = $1";

const RENEW: &str = "\
UPDATE mayfly.lease SET renewed_at = clock_timestamp(), expires_at = clock_timestamp() + make_interval(secs => $4)
 WHERE wallet = $1 AND epoch = $2 AND holder = $3 RETURNING seq";

// The epoch stays, and the row: a wallet's epochs never begin anew.
const RELEASE: &str = "UPDATE mayfly.lease SET holder = NULL WHERE wallet = $1 AND epoch = $2 AND holder = $3";

const READ: &str = "\
SELECT m.version, pg_is_in_recovery(), i.key, i.data
  FROM mayfly.meta m LEFT JOIN (
       SELECT key, data FROM unnest($2::bytea[], $3::bytea[]) AS p(low, high)
         JOIN mayfly.item ON wallet = $1 AND key >= p.low AND key < p.high) i ON true";

const READ_LAST: &str = "\
SELECT m.version, pg_is_in_recovery(), i.key, i.data
  FROM mayfly.meta m LEFT JOIN (
       SELECT key, data FROM mayfly.item
        WHERE wallet = $1 AND key >= $2 AND key < $3 ORDER BY key DESC LIMIT $4) i ON true";

/// What a claim and the load behind it found.
pub(super) struct Found {
    /// The position, if the claim took the lease.
    pub(super) taken: Option<Position>,
    /// The lease as the load saw it; none: the wallet has no row yet.
    pub(super) lease: Option<Lease>,
    pub(super) rows: Rows,
    /// The highest sequence number that a row was written at.
    pub(super) newest_row: u64,
}

/// A lease, and the settings of the server that matter to it.
pub(super) struct Lease {
    pub(super) version: i32,
    pub(super) synchronous_commit: String,
    pub(super) is_standby: bool,
    pub(super) position: Position,
    pub(super) is_ours: bool,
    /// Until it can be taken over, if nobody renews it.
    pub(super) left: Duration,
    /// None: it is free.
    pub(super) holder: Option<Holder>,
}

/// The lease's row, asked for after a commit that moved nothing.
pub(super) struct Resolved {
    pub(super) epoch: u64,
    pub(super) seq: u64,
    pub(super) holder: Option<Vec<u8>>,
    pub(super) last_commit: Option<Vec<u8>>,
}

/// One claim.
pub(super) struct Claim<'a> {
    pub(super) wallet: &'a WalletId,
    pub(super) claimant: &'a Claimant,
    pub(super) holder: &'a HolderId,
    /// Claims of ours that may have been granted without our hearing of it, and the one that we hold.
    pub(super) ours: &'a [HolderId],
}

/// A holder that did not renew for so long is frozen or gone: it renews every second (`takeOver: 'unrenewed'`).
const UNRENEWED: Duration = Duration::from_secs(3);

impl Claim<'_> {
    /// Claims; bounded by the caller, because it waits for whoever has the row's lock.
    pub(super) async fn take(&self, client: &Client) -> Result<Option<Position>, Error> {
        let claimant = self.claimant;
        let ours: Vec<&[u8]> = self.ours.iter().map(<[u8; 16]>::as_slice).collect();
        let rows = client
            .query_typed(
                CLAIM,
                &[
                    (&self.wallet.0.as_slice(), Type::BYTEA),
                    (&self.holder.as_slice(), Type::BYTEA),
                    (&claimant.ttl.as_secs_f64(), Type::FLOAT8),
                    (&self.unrenewed(), Type::FLOAT8),
                    (&ours, Type::BYTEA_ARRAY),
                    (&i64::from(claimant.pid), Type::INT8),
                    (&claimant.host, Type::TEXT),
                    (&claimant.label, Type::TEXT),
                    (&VERSION, Type::INT4),
                ],
            )
            .await?;
        rows.first().map(|row| Ok(position(row.try_get(0)?, row.try_get(1)?))).transpose()
    }

    /// Makes the wallet's row.
    pub(super) async fn make_row(&self, client: &Client) -> Result<(), Error> {
        client.query_typed(FIRST, &[(&self.wallet.0.as_slice(), Type::BYTEA)]).await.map(drop)
    }

    /// What is there after the claim.
    pub(super) async fn load(&self, client: &Client) -> Result<Found, Error> {
        let (cold, after_cold) = (COLD_PREFIX.as_bytes(), after(COLD_PREFIX));
        let rows = client
            .query_typed(
                LOAD,
                &[
                    (&self.wallet.0.as_slice(), Type::BYTEA),
                    (&self.holder.as_slice(), Type::BYTEA),
                    (&self.unrenewed(), Type::FLOAT8),
                    (&cold, Type::BYTEA),
                    (&after_cold, Type::BYTEA),
                ],
            )
            .await?;
        let mut found = Found { taken: None, lease: None, rows: Rows::new(), newest_row: 0 };
        for row in &rows {
            if found.lease.is_none() {
                found.lease = Some(lease(row)?);
            }
            if let Some(key) = row.try_get::<_, Option<&[u8]>>(11)? {
                found.newest_row = found.newest_row.max(number(row.try_get(12)?));
                found.rows.insert(text(key), row.try_get(13)?);
            }
        }
        Ok(found)
    }

    /// In seconds; for ever, if only time may end a lease (as far as an interval can tell).
    fn unrenewed(&self) -> f64 {
        const FOR_EVER: f64 = 1e9;
        match self.claimant.take_over {
            TakeOver::Expired => FOR_EVER,
            TakeOver::Unrenewed => UNRENEWED.as_secs_f64(),
        }
    }
}

fn lease(row: &Row) -> Result<Lease, Error> {
    let position = position(row.try_get(3)?, row.try_get(4)?);
    let pid: Option<i64> = row.try_get(6)?;
    let holder = Holder {
        pid: pid.and_then(|pid| u32::try_from(pid).ok()),
        host: row.try_get(7)?,
        since_ms: number(row.try_get(8)?),
        epoch: position.epoch.0,
    };
    let is_free: bool = row.try_get(10)?;
    let left: f64 = row.try_get(9)?;
    Ok(Lease {
        // A table without its row is no version of ours.
        version: row.try_get::<_, Option<i32>>(0)?.unwrap_or(0),
        synchronous_commit: row.try_get(1)?,
        is_standby: row.try_get(2)?,
        position,
        is_ours: row.try_get::<_, Option<bool>>(5)?.unwrap_or(false),
        left: Duration::try_from_secs_f64(left).unwrap_or_default(),
        holder: Some(holder).filter(|_| !is_free),
    })
}

/// Who the server is, if it says so.
pub(super) async fn server(client: &Client) -> Result<Option<Server>, Error> {
    let rows = client.query_typed(SERVER, &[]).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let (system, timeline): (Option<i64>, Option<&str>) = (row.try_get(0)?, row.try_get(1)?);
    let timeline = timeline.and_then(|hex| u32::from_str_radix(hex, 16).ok());
    // The identifier is 64 bits, which PostgreSQL's type for it shows with a sign.
    let system = system.map(|system| u64::from_ne_bytes(system.to_ne_bytes()));
    Ok(system.zip(timeline).map(|(system, timeline)| Server { system, timeline }))
}

/// What a holder's statements are conditional on.
#[derive(Clone, Copy)]
pub(super) struct Hold<'a> {
    pub(super) wallet: &'a [u8],
    pub(super) holder: &'a [u8],
    pub(super) epoch: i64,
    pub(super) ttl: Duration,
}

impl Hold<'_> {
    /// The new sequence number; none: nothing was written, for a reason that [`Hold::resolve`] finds.
    pub(super) async fn commit(
        self,
        client: &Client,
        seq: i64,
        nonce: Nonce,
        batch: &Batch,
    ) -> Result<Option<Seq>, Error> {
        let (keys, values): (Vec<&[u8]>, Vec<&[u8]>) =
            batch.puts().iter().map(|(key, value)| (key.as_bytes(), value.as_slice())).unzip();
        let deletes: Vec<&[u8]> = batch.deletes().iter().map(String::as_bytes).collect();
        let rows = client
            .query_typed(
                COMMIT,
                &[
                    (&self.wallet, Type::BYTEA),
                    (&self.epoch, Type::INT8),
                    (&self.holder, Type::BYTEA),
                    (&seq, Type::INT8),
                    (&nonce.0.as_slice(), Type::BYTEA),
                    (&self.ttl.as_secs_f64(), Type::FLOAT8),
                    (&keys, Type::BYTEA_ARRAY),
                    (&values, Type::BYTEA_ARRAY),
                    (&deletes, Type::BYTEA_ARRAY),
                ],
            )
            .await?;
        rows.first().map(|row| Ok(Seq(number(row.try_get(0)?)))).transpose()
    }

    /// The lease's row as it is; none: there is no such wallet any more.
    pub(super) async fn resolve(self, client: &Client) -> Result<Option<Resolved>, Error> {
        let rows = client.query_typed(RESOLVE, &[(&self.wallet, Type::BYTEA)]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        Ok(Some(Resolved {
            epoch: number(row.try_get(0)?),
            seq: number(row.try_get(1)?),
            holder: row.try_get(2)?,
            last_commit: row.try_get(3)?,
        }))
    }

    /// Where the wallet is, if it is ours.
    pub(super) async fn renew(self, client: &Client) -> Result<Option<Seq>, Error> {
        let ttl = self.ttl.as_secs_f64();
        let [wallet, epoch, holder] = self.condition();
        let rows = client.query_typed(RENEW, &[wallet, epoch, holder, (&ttl, Type::FLOAT8)]).await?;
        rows.first().map(|row| Ok(Seq(number(row.try_get(0)?)))).transpose()
    }

    pub(super) async fn release(self, client: &Client) -> Result<(), Error> {
        client.execute_typed(RELEASE, &self.condition()).await.map(drop)
    }

    fn condition(&self) -> [(&(dyn ToSql + Sync), Type); 3] {
        [(&self.wallet, Type::BYTEA), (&self.epoch, Type::INT8), (&self.holder, Type::BYTEA)]
    }
}

/// The rows under the prefixes.
pub(super) async fn read(client: &Client, wallet: &WalletId, prefixes: &[&str]) -> Result<Vec<Row>, Error> {
    let low: Vec<&[u8]> = prefixes.iter().map(|prefix| prefix.as_bytes()).collect();
    let high: Vec<Vec<u8>> = prefixes.iter().map(|prefix| after(prefix)).collect();
    let wallet = wallet.0.as_slice();
    client.query_typed(READ, &[(&wallet, Type::BYTEA), (&low, Type::BYTEA_ARRAY), (&high, Type::BYTEA_ARRAY)]).await
}

/// The last rows under a prefix.
pub(super) async fn read_last(
    client: &Client,
    wallet: &WalletId,
    prefix: &str,
    before: Option<&str>,
    limit: usize,
) -> Result<Vec<Row>, Error> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let behind = after(prefix);
    let high = before.map_or(behind.as_slice(), |before| before.as_bytes().min(&behind));
    let parameters: [(&(dyn ToSql + Sync), Type); 4] = [
        (&wallet.0.as_slice(), Type::BYTEA),
        (&prefix.as_bytes(), Type::BYTEA),
        (&high, Type::BYTEA),
        (&limit, Type::INT8),
    ];
    client.query_typed(READ_LAST, &parameters).await
}

/// What both readings answer with: the version, whether it is a standby, and the rows.
pub(super) fn rows_read(rows: &[Row]) -> Result<(Option<i32>, bool, Rows), Error> {
    let Some(first) = rows.first() else { return Ok((None, false, Rows::new())) };
    let mut read = Rows::new();
    for row in rows {
        if let Some(key) = row.try_get::<_, Option<&[u8]>>(2)? {
            read.insert(text(key), row.try_get(3)?);
        }
    }
    Ok((first.try_get(0)?, first.try_get(1)?, read))
}

fn position(epoch: i64, seq: i64) -> Position {
    Position { epoch: Epoch(number(epoch)), seq: Seq(number(seq)) }
}

/// What never goes below 0.
fn number(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

/// Keys went in as texts; what somebody else made of one is another key, which no reader knows.
fn text(key: &[u8]) -> String {
    String::from_utf8_lossy(key).into_owned()
}

/// The first bytes behind all texts that begin with the prefix. UTF-8 has no byte 0xff: it stands behind everything, and the last byte of
/// a prefix can always be raised. Never "no bound": a bound that may be absent is none for an index.
fn after(prefix: &str) -> Vec<u8> {
    let mut bytes = prefix.as_bytes().to_vec();
    match bytes.last_mut() {
        Some(last) => *last = last.saturating_add(1),
        None => bytes.push(0xff),
    }
    bytes
}
