//! The free functions.

use mayfly_core::error::Error;
use mayfly_core::keys;
use napi::bindgen_prelude::Unknown;
use napi::Env;
use napi_derive::napi;

use crate::entry::entry;
use crate::{args, env, js, log};

/// A new BIP 39 mnemonic of 12 (default) or 24 words, from the operating system's randomness.
///
/// Throws `INVALID_ARGUMENT` for another number of words.
#[napi(ts_args_type = "words?: 12 | 24")]
pub fn generate_mnemonic(env: &Env, words: Unknown) -> napi::Result<String> {
    entry(env, || keys::generate_mnemonic(args::integer_or("words", &words, 12)?))
}

/// The node id that a mnemonic has on a network: 66 hex characters, the same derivation as ldk-node, so existing wallets
/// keep theirs.
///
/// Throws `INVALID_ARGUMENT` for a wrong mnemonic or network.
#[napi(ts_args_type = "mnemonic: string, network: Network")]
pub fn derive_node_id(env: &Env, mnemonic: Unknown, network: Unknown) -> napi::Result<String> {
    entry(env, || keys::derive_node_id(&args::text("mnemonic", &mnemonic)?, &args::text("network", &network)?))
}

/// Hears the records of all nodes of this process, from `minLevel` (default `'info'`) up; `null` ends it. `minLevel` is a level
/// for everything, or levels by target: `{ default: 'info', 'mayfly::lsp': 'debug', ldk: 'off' }`. One listener for the main
/// thread and one for each worker. It never keeps the process alive, what it throws is ignored, and when the JavaScript thread
/// is too busy to listen, records are dropped rather than queued without end.
///
/// Throws `INVALID_ARGUMENT` for a callback that is no function, an unknown level or an unknown target.
#[napi(ts_args_type = "callback: ((record: LogRecord) => void) | null, minLevel?: LogLevel | LogLevels")]
pub fn set_log_listener(env: &Env, callback: Unknown, min_level: Unknown) -> napi::Result<()> {
    entry(env, || {
        let levels = args::levels(env, &min_level)?;
        if js::is_null(&callback) {
            log::forget(env::key(env));
            return Ok(());
        }
        let callback =
            js::function(&callback).map_err(|fault| Error::argument("callback", format!("callback {fault}")))?;
        // The registry's hook also takes the listener away when the environment ends.
        env::registry(env)?;
        log::listen(env::key(env), levels, callback)
    })
}
