//! `lease.label`: what the user calls this holder. It stands in the store in clear, where an operator reads it, and another claimant
//! may be told it; so what can't be seen has no place in it, nor what looks like a secret that lost its way.

use super::shown::{is_hidden, shown, stray};
use crate::error::{Error, Result};

/// Enough for a deployment's name and its region.
const MOST_BYTES: usize = 64;

/// Characters of a private key or a seed in hexadecimal.
const KEY_CHARACTERS: usize = 64;

pub(super) fn label(raw: Option<&str>) -> Result<Option<String>> {
    let Some(text) = raw.filter(|text| !text.is_empty()) else { return Ok(None) };
    let refused = |what: &str| {
        let value = shown(text);
        Err(Error::option("lease.label", format!("lease.label is {value}; {what}{}", stray(text))))
    };
    if text.len() > MOST_BYTES {
        return refused("it must have at most 64 bytes");
    }
    if text.contains(is_hidden) {
        return refused("it must not have control characters, or others that can't be seen");
    }
    let is_key = text.len() == KEY_CHARACTERS && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_key || text.contains("://") || text.contains('@') {
        return refused(
            "that looks like a secret or a URL, and the label stands in the store in clear; give the holder a name",
        );
    }
    Ok(Some(text.to_owned()))
}
