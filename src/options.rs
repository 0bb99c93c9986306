//! The options of `new MdkNode(options)`, as JavaScript gives them → `RawConfig`. Core judges the values; here is judged what
//! core can't see: types, missing and unknown keys, getters that throw. Every failure is `INVALID_OPTION` with the option's
//! name, dotted inside an object (`lease.ttlMs`); no message shows a value, because any text may be a secret in the wrong place.

use mayfly_core::config::{RawConfig, RawJitRoute, RawLease, RawTimeouts};
use mayfly_core::error::{Error, Result};
use napi::bindgen_prelude::{Object, Unknown};
use napi::Env;

use crate::js;

const KEYS: &[&str] = &[
    "network",
    "mnemonic",
    "esploraUrl",
    "lspNodeId",
    "lspAddress",
    "lspProtocol",
    "jitRoute",
    "store",
    "lease",
    "destroyTimeoutMs",
    "maxIdleMs",
    "maxSkimPpm",
    "maxSkimBaseMsat",
    "recover",
    "timeouts",
];
const JIT_ROUTE: &[&str] = &["scid", "cltvExpiryDelta"];
const LEASE: &[&str] = &["ttlMs", "attempts", "baseDelayMs", "maxWaitMs", "takeOver", "label"];
const TIMEOUTS: &[&str] = &["chainMs", "syncMs", "storeMs", "connectMs", "lspMs", "lspRequestMs", "stopMs", "commitMs"];

/// Reads all options. Each property is read once, so that a getter can't show two faces.
pub fn parse(env: &Env, value: &Unknown<'_>) -> Result<RawConfig> {
    let options = Group::open(env, "", value, KEYS)?;
    Ok(RawConfig {
        network: options.text("network")?,
        mnemonic: options.text("mnemonic")?,
        esplora_url: options.text("esploraUrl")?,
        lsp_node_id: options.text("lspNodeId")?,
        lsp_address: options.text("lspAddress")?,
        lsp_protocol: options.optional_text("lspProtocol")?,
        jit_route: jit_route(&options)?,
        store: options.text("store")?,
        lease: lease(&options)?,
        destroy_timeout_ms: options.optional_number("destroyTimeoutMs")?,
        max_idle_ms: options.optional_number("maxIdleMs")?,
        max_skim_ppm: options.optional_number("maxSkimPpm")?,
        max_skim_base_msat: options.optional_number("maxSkimBaseMsat")?,
        recover: options.optional_text("recover")?,
        timeouts: timeouts(&options)?,
    })
}

fn jit_route(options: &Group<'_>) -> Result<Option<RawJitRoute>> {
    let Some(route) = options.group("jitRoute", JIT_ROUTE)? else { return Ok(None) };
    Ok(Some(RawJitRoute { scid: route.text("scid")?, cltv_expiry_delta: route.number("cltvExpiryDelta")? }))
}

fn lease(options: &Group<'_>) -> Result<RawLease> {
    let Some(lease) = options.group("lease", LEASE)? else { return Ok(RawLease::default()) };
    Ok(RawLease {
        ttl_ms: lease.optional_number("ttlMs")?,
        attempts: lease.optional_number("attempts")?,
        base_delay_ms: lease.optional_number("baseDelayMs")?,
        max_wait_ms: lease.optional_number("maxWaitMs")?,
        take_over: lease.optional_text("takeOver")?,
        label: lease.optional_text("label")?,
    })
}

fn timeouts(options: &Group<'_>) -> Result<RawTimeouts> {
    let Some(timeouts) = options.group("timeouts", TIMEOUTS)? else { return Ok(RawTimeouts::default()) };
    Ok(RawTimeouts {
        chain_ms: timeouts.optional_number("chainMs")?,
        sync_ms: timeouts.optional_number("syncMs")?,
        store_ms: timeouts.optional_number("storeMs")?,
        connect_ms: timeouts.optional_number("connectMs")?,
        lsp_ms: timeouts.optional_number("lspMs")?,
        lsp_request_ms: timeouts.optional_number("lspRequestMs")?,
        stop_ms: timeouts.optional_number("stopMs")?,
        commit_ms: timeouts.optional_number("commitMs")?,
    })
}

/// An option object and the path to it.
struct Group<'v> {
    env: &'v Env,
    path: &'v str,
    object: Object<'v>,
}

impl<'v> Group<'v> {
    /// Refuses what is no object and what has a key that is not `known`.
    fn open(env: &'v Env, path: &'v str, value: &Unknown<'v>, known: &[&str]) -> Result<Self> {
        let name = if path.is_empty() { "options" } else { path };
        let object = js::object(value).map_err(|fault| wrong(name, &fault))?;
        let keys = js::own_keys(env, &object).map_err(|fault| wrong(name, &fault))?;
        let group = Group { env, path, object };
        match keys.iter().find(|key| !known.contains(&key.as_str())) {
            Some(key) if js::is_name(key) => {
                let name = group.name(key);
                Err(Error::option(&name, format!("there is no option {name:?}; known: {}", known.join(", "))))
            }
            Some(key) => Err(wrong(name, &js::unknown_key(key, known))),
            None => Ok(group),
        }
    }

    fn group<'g>(&'g self, key: &'g str, known: &[&str]) -> Result<Option<Group<'g>>> {
        self.value(key)?.map(|value| Group::open(self.env, key, &value, known)).transpose()
    }

    fn text(&self, key: &str) -> Result<String> {
        self.optional_text(key)?.ok_or_else(|| self.missing(key))
    }

    fn number(&self, key: &str) -> Result<f64> {
        self.optional_number(key)?.ok_or_else(|| self.missing(key))
    }

    fn optional_text(&self, key: &str) -> Result<Option<String>> {
        let read = |value| js::text(&value).map_err(|fault| wrong(&self.name(key), &fault));
        self.value(key)?.map(read).transpose()
    }

    fn optional_number(&self, key: &str) -> Result<Option<f64>> {
        let read = |value| js::number(&value).map_err(|fault| wrong(&self.name(key), &fault));
        self.value(key)?.map(read).transpose()
    }

    fn value(&self, key: &str) -> Result<Option<Unknown<'_>>> {
        js::property(self.env, &self.object, key).map_err(|fault| wrong(&self.name(key), &fault))
    }

    fn name(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    fn missing(&self, key: &str) -> Error {
        let name = self.name(key);
        Error::option(
            &name,
            format!("{name} is required and was not given (or is undefined: is the environment variable set?)"),
        )
    }
}

fn wrong(name: &str, fault: &str) -> Error {
    Error::option(name, format!("{name} {fault}"))
}
