//! `store`: which store and where. Opens nothing, not even to look whether a directory exists.
//!
//! The mistake to prevent is a wallet that wakes up with an empty store, because its directory was read differently than it
//! was written or vanished with a function's instance. So everything ambiguous in a path is refused, and on mainnet
//! everything that does not last.

use super::postgres_url;
use super::shown::{is_hidden, is_scheme, shown, stray, QUOTES};
use super::StoreUrl;
use crate::error::{Error, Result};
use bitcoin::Network;
use std::path::{Component, Path, PathBuf};

const FORMS: &str = "'file:<directory>' (as in 'file:/var/lib/wallet'), 'postgres://…' and 'memory:' exist";

pub(super) fn store_url(text: &str, network: Network) -> Result<StoreUrl> {
    let store = StoreUrl::parse(text)?;
    if network == Network::Bitcoin {
        lasting(&store).map_err(|what| Error::option("store", what))?;
    }
    Ok(store)
}

pub(super) fn parse(text: &str) -> std::result::Result<StoreUrl, String> {
    if text == "memory:" {
        return Ok(StoreUrl::Memory);
    }
    if let Some(path) = text.strip_prefix("file:") {
        return directory(path).map(StoreUrl::File);
    }
    if let Some(rest) = text.strip_prefix("postgres://").or_else(|| text.strip_prefix("postgresql://")) {
        let url = postgres_url::parse(rest)
            .map_err(|what| format!("store is a PostgreSQL URL that {what}{}", stray(text)))?;
        return Ok(StoreUrl::Postgres(Box::new(url)));
    }
    if text.starts_with(['/', '.']) {
        return Err(format!("store is {}: write 'file:' before a directory", shown(text)));
    }
    // Only the scheme: what follows it may hold a password.
    match text.split_once(':') {
        Some(("memory", _)) => {
            Err(format!("store is 'memory:' with something behind it, which it can't have{}", stray(text)))
        }
        // Without the slashes it may be `user:password@host`.
        Some((scheme, rest)) if is_scheme(scheme) && rest.starts_with("//") => {
            Err(format!("store has the scheme '{scheme}:', which this version does not have; {FORMS}"))
        }
        _ => Err(format!("store is {}, which names no store; {FORMS}{}", shown(text), stray(text))),
    }
}

/// `file:/abs`, `file:///abs` (as `pathToFileURL` writes it) and `file:rel`, made absolute now: a later chdir must not move
/// the wallet.
fn directory(path: &str) -> std::result::Result<PathBuf, String> {
    let path = match path.strip_prefix("//") {
        Some(path) if path.is_empty() || path.starts_with('/') => path,
        Some(_) => {
            return Err("store begins with 'file://' and a host; write file:/… for an absolute directory, file:… for a relative one".to_owned());
        }
        None => path,
    };
    if path.trim_matches('/').is_empty() {
        return Err("store names no directory after 'file:'; an example is 'file:/var/lib/wallet'".to_owned());
    }
    let refused = |what: &str| Err::<PathBuf, _>(format!("store's directory {what}"));
    if path.trim() != path {
        return refused("begins or ends with whitespace; remove it");
    }
    if path.starts_with(QUOTES) || path.ends_with(QUOTES) {
        return refused("begins or ends with a quotation mark; remove it");
    }
    if path.contains(is_hidden) {
        return refused("contains a control character or another that can't be seen; remove it");
    }
    if path.contains(['?', '#']) {
        return refused("contains '?' or '#', but a file: store takes no query or fragment");
    }
    if has_percent_escape(path) {
        return refused("contains a percent escape such as %20, which is not decoded; write the character itself");
    }
    if path == "~" || path.starts_with("~/") {
        return refused("begins with '~', which only a shell expands; write the whole path");
    }
    let whole =
        std::path::absolute(path).map_err(|error| format!("store's directory can't be made absolute: {error}"))?;
    // What is behind the last name may have hidden how that ends: `x"/.`.
    match whole.to_str() {
        Some(text) if text.ends_with(QUOTES) => refused("ends with a quotation mark; remove it"),
        Some(text) if text.trim_end() != text => refused("ends with whitespace; remove it"),
        _ => Ok(whole),
    }
}

fn has_percent_escape(path: &str) -> bool {
    path.split('%').skip(1).any(|after| {
        let mut digits = after.bytes().take(2).filter(u8::is_ascii_hexdigit);
        digits.next().is_some() && digits.next().is_some()
    })
}

/// Folders whose content is gone after a restart, or with a function's instance.
const TEMPORARY: [&str; 7] =
    ["/tmp", "/var/tmp", "/dev/shm", "/private/tmp", "/private/var/tmp", "/var/folders", "/private/var/folders"];

fn lasting(store: &StoreUrl) -> std::result::Result<(), String> {
    let directory = match store {
        StoreUrl::File(directory) => directory,
        StoreUrl::Postgres(_) => return Ok(()),
        StoreUrl::Memory => {
            return Err(
                "store is 'memory:', which forgets the channels, and with them the money, when the process ends; \
                        on mainnet use a store that lasts"
                    .to_owned(),
            );
        }
    };
    let directory = without_dots(directory);
    // A TMPDIR of "/" or "." says nothing about what is temporary.
    let configured =
        Some(without_dots(&std::env::temp_dir())).filter(|dir| dir.is_absolute() && dir.parent().is_some());
    let temporary = TEMPORARY.iter().map(PathBuf::from).chain(configured);
    for folder in temporary {
        if directory.starts_with(&folder) {
            return Err(format!(
                "store is inside the temporary folder {}, which vanishes with a function's instance or at a restart, and the \
                 channels and their money with it; on mainnet use a directory that lasts",
                folder.display()
            ));
        }
    }
    Ok(())
}

/// `/a/./b/../c` → `/a/c`, by the text alone.
fn without_dots(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                plain.pop();
            }
            other => plain.push(other),
        }
    }
    plain
}
