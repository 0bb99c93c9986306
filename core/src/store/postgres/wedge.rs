//! A session that has the lock of a wallet's row and waits for a client that is silent.
//!
//! A commit is one message chain, and its last five bytes (Sync) are what ends its transaction. If all but these arrive, because the
//! client froze or its packets are lost, the server has written, holds the row's lock, and waits; neither `statement_timeout` nor
//! `idle_in_transaction_session_timeout` ends it. Everyone else would wait with it for as long as its TCP connection looks alive.
//!
//! So who waits for the row too long looks, without waiting, whether it is locked, by whom, and whether that one waits for its client. If
//! so it is ended: its transaction is rolled back, which for its client is a commit of unknown outcome, and safe. Whoever else has the row
//! (a person with a transaction open) is named and left alone.

use super::fault::Fault;
use super::line::Line;
use crate::store::WalletId;
use std::time::Duration;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;
use tokio_postgres::Client;

/// How long a claim waits for the row before it looks, and each time longer, because a server may be slow and nothing else: an
/// undisturbed commit has the row for milliseconds.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);

const IS_FREE: &str = "SELECT 1 FROM mayfly.lease WHERE wallet = $1 FOR UPDATE SKIP LOCKED";

// Who locked a row stands in it as xmax, and holds the lock of that transaction's number. `active` and waiting for its client is what a
// chain without its Sync looks like; half a second tells it from one whose last packet is on its way.
const BREAK: &str = "\
SELECT a.pid, a.application_name, a.state, w.wedged, CASE WHEN w.wedged THEN pg_terminate_backend(a.pid) ELSE false END
  FROM mayfly.lease l
  JOIN pg_locks k ON k.locktype = 'transactionid' AND k.granted AND k.transactionid = l.xmax
  JOIN pg_stat_activity a ON a.pid = k.pid,
       LATERAL (SELECT coalesce(a.state = 'active' AND a.wait_event = 'ClientRead'
                AND a.query_start < clock_timestamp() - interval '500 milliseconds', false) AS wedged) w
 WHERE l.wallet = $1";

/// Frees the wallet's row, if it was locked by a session that waits for its client. An error says who has it otherwise.
pub(super) async fn free(line: &mut Line, wallet: &WalletId) -> Result<(), Fault> {
    let wallet = wallet.0.as_slice();
    let free = line.ask(async |client: &Client| client.query_typed(IS_FREE, &[(&wallet, Type::BYTEA)]).await).await?;
    if !free.is_empty() {
        return Ok(());
    }
    let sessions = line.ask(async |client: &Client| client.query_typed(BREAK, &[(&wallet, Type::BYTEA)]).await).await;
    let sessions = match sessions {
        Err(Fault::Refused(state, _)) if state == SqlState::INSUFFICIENT_PRIVILEGE => {
            return Err(held("a session of another role"))
        }
        sessions => sessions?,
    };
    for session in &sessions {
        let pid: i32 = session.try_get(0)?;
        let (wedged, ended): (bool, bool) = (session.try_get(3)?, session.try_get(4)?);
        if !wedged {
            let (name, state): (Option<&str>, Option<&str>) = (session.try_get(1)?, session.try_get(2)?);
            let (name, state) = (name.unwrap_or_default(), state.unwrap_or("of another role"));
            return Err(held(&format!("the session with pid {pid} ('{name}', {state})")));
        }
        tracing::warn!(pid, ended, "a session that had the wallet's row and waited for a silent client was ended");
    }
    Ok(())
}

fn held(who: &str) -> Fault {
    Fault::Lost(format!(
        "{who} holds the wallet's row in a transaction that does not end; end that transaction, or run SELECT \
         pg_terminate_backend(its pid)"
    ))
}
