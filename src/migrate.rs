//! What `npx --no mayfly migrate` calls (`bin/mayfly.mjs`): internal, because it blocks.

use mayfly_core::store::postgres;
use napi::bindgen_prelude::Unknown;
use napi::Env;
use napi_derive::napi;

use crate::args;
use crate::entry::entry;

/// Makes the tables in the PostgreSQL database of that URL. Blocks until it is done.
///
/// @internal
#[napi(ts_args_type = "url: string")]
pub fn migrate_postgres(env: &Env, url: Unknown) -> napi::Result<()> {
    entry(env, || postgres::migrate(&args::text("url", &url)?))
}

/// The SQL of `migratePostgres`, and the grants for a role `app`.
///
/// @internal
#[napi]
pub fn postgres_schema(env: &Env) -> napi::Result<String> {
    entry(env, || Ok(postgres::printed()))
}
