//! The tables: made by the first use, or by `npx --no mayfly migrate` where the role of the nodes may not create.
//!
//! What must hold: any number of processes may make them at once; a version is never half made; and a client never works on a
//! version that it does not know. Each claim is conditional on the version, in the same statement. A later version that changes what a
//! row means must also raise every epoch, because holders of the earlier one do not look again.

use crate::config::PostgresUrl;
use crate::error::Error;
use tokio_postgres::Client;

/// The version that this client works with.
pub(super) const VERSION: i32 = 1;

/// In one message, so it is one transaction, and a client that freezes in the middle holds no lock. The lock keeps the processes that
/// find no tables at the same time apart; its number is "mayfly" in ASCII.
///
/// Rows of a lease are updated once a second and more: half-empty pages let that happen in place. Values are sealed, so compressing
/// them is vain. Keys are bytes: no collation orders them, no encoding changes them.
pub const CREATE: &str = "\
SELECT pg_advisory_xact_lock(120265213602937);
CREATE SCHEMA IF NOT EXISTS mayfly;
CREATE TABLE IF NOT EXISTS mayfly.meta (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    version integer NOT NULL
);
CREATE TABLE IF NOT EXISTS mayfly.lease (
    wallet bytea PRIMARY KEY,
    epoch bigint NOT NULL,
    seq bigint NOT NULL,
    last_commit bytea,
    holder bytea,
    pid bigint,
    host text,
    label text,
    since timestamptz NOT NULL,
    renewed_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL
) WITH (fillfactor = 50);
CREATE TABLE IF NOT EXISTS mayfly.item (
    wallet bytea NOT NULL,
    key bytea NOT NULL,
    seq bigint NOT NULL,
    data bytea NOT NULL,
    PRIMARY KEY (wallet, key)
);
ALTER TABLE mayfly.item ALTER COLUMN data SET STORAGE EXTERNAL;
INSERT INTO mayfly.meta (version) VALUES (1) ON CONFLICT DO NOTHING;
";

/// What the role of the nodes needs, if another role made the tables.
pub const GRANTS: &str = "\
GRANT USAGE ON SCHEMA mayfly TO app;
GRANT SELECT ON mayfly.meta TO app;
GRANT SELECT, INSERT, UPDATE ON mayfly.lease TO app;
GRANT SELECT, INSERT, UPDATE, DELETE ON mayfly.item TO app;
";

/// Makes what is missing.
pub(super) async fn create(client: &Client) -> Result<(), tokio_postgres::Error> {
    client.batch_execute(CREATE).await
}

/// The version there is not ours.
pub(super) fn foreign(version: i32, url: &PostgresUrl) -> Error {
    let what = if version > VERSION {
        "a newer mayfly made them: update this one"
    } else {
        "they are of no mayfly that was released: use another database"
    };
    Error::option(
        "store",
        format!("the tables in PostgreSQL at {url} have version {version}, this mayfly knows {VERSION}; {what}"),
    )
}
