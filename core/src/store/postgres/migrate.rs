//! Making the tables by hand, for those whose nodes run with a role that may not create: `npx --no mayfly migrate`.
//!
//! It runs in a command that ends with it, so it may block its thread; it is bounded all the same. Doing it again changes nothing.

use super::line::Line;
use super::schema::{self, CREATE, GRANTS};
use crate::config::StoreUrl;
use crate::error::{Code, Error, Result};
use std::time::Duration;
use tokio_postgres::Client;

/// A database that was asleep takes some seconds to wake; a lock on the tables may take some, too.
const AT_MOST: Duration = Duration::from_secs(60);

/// Makes the tables in the database of that URL. Blocks.
pub fn migrate(url: &str) -> Result<()> {
    let StoreUrl::Postgres(url) = StoreUrl::parse(url)? else {
        return Err(Error::argument("url", "only a PostgreSQL database has tables to make; give its postgres:// URL"));
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
    let runtime = runtime.map_err(|e| Error::new(Code::Internal, format!("the system gives no runtime: {e}")))?;
    let mut line = Line::to(&url);
    runtime.block_on(async {
        let made = tokio::time::timeout(AT_MOST, make(&mut line)).await;
        made.unwrap_or_else(|_| {
            let message = format!(
                "PostgreSQL at {url} did not answer within {} s; nothing is half made; retry",
                AT_MOST.as_secs()
            );
            Err(Error::new(Code::StoreUnavailable, message))
        })
    })
}

async fn make(line: &mut Line) -> Result<()> {
    // A newer version is found before anything of it could be changed.
    if let Some(version) = version(line).await? {
        return if version == schema::VERSION { Ok(()) } else { Err(schema::foreign(version, line.url())) };
    }
    line.ask(schema::create).await.map_err(|fault| line.error(fault))
}

async fn version(line: &mut Line) -> Result<Option<i32>> {
    let asked =
        line.ask(async |client: &Client| client.query_typed("SELECT version FROM mayfly.meta", &[]).await).await;
    match asked {
        Ok(rows) => {
            let version = rows.first().map(|row| row.try_get(0)).transpose();
            version.map_err(|error| line.error(error.into()))
        }
        Err(fault) if fault.is_no_table() => Ok(None),
        Err(fault) => Err(line.error(fault)),
    }
}

/// What `migrate` runs, and what a role that only runs nodes needs, as SQL for whoever makes tables by hand.
pub fn printed() -> String {
    format!(
        "-- The tables of mayfly, version {}. Running this again changes nothing.\nBEGIN;\n{CREATE}COMMIT;\n\n-- All that a role named \
         app needs to run nodes.\n{GRANTS}",
        schema::VERSION
    )
}
