//! The LSP's options: who it is, where it listens, which protocol, and the JIT route if it is known.

use super::host::authority;
use super::numbers::safe_integer;
use super::shown::{shown, stray};
use super::{LspPeer, RawJitRoute};
use crate::error::{Error, Result};
use crate::lsp::{scid, JitRoute};
use bitcoin::secp256k1::PublicKey;
use std::str::FromStr;

/// A payer adds the hint's delta to the final one and to every other hop's, and the usual limit for all of them is two weeks
/// of blocks: an invoice with more could never be paid.
const MAX_CLTV_EXPIRY_DELTA: u64 = 2016;

pub(super) fn peer(node_id: &str, address: &str) -> Result<LspPeer> {
    let node_id = self::node_id(node_id)?;
    let (host, port) = host_and_port(address).map_err(|what| {
        let value = shown(address);
        Error::option(
            "lspAddress",
            format!(
                "lspAddress is {value}: {what}; it must be host:port, as in 'lsp.example.com:9735'{}",
                stray(address)
            ),
        )
    })?;
    Ok(LspPeer { node_id, host, port })
}

fn node_id(text: &str) -> Result<PublicKey> {
    let wrong = |what: String| Error::option("lspNodeId", format!("lspNodeId {what}"));
    if text.contains('@') {
        return Err(wrong("contains an '@': the part after it belongs into lspAddress".to_owned()));
    }
    if let Some(at) = text.chars().position(|c| !c.is_ascii_hexdigit()) {
        let place = at.saturating_add(1);
        let message = format!("must be 66 hexadecimal characters; character {place} is not one{}", stray(text));
        return Err(wrong(message));
    }
    if text.len() != 66 {
        return Err(wrong(format!("has {} characters; a node id has 66 (hexadecimal)", text.len())));
    }
    if !text.starts_with("02") && !text.starts_with("03") {
        return Err(wrong("must begin with 02 or 03, as every compressed public key does".to_owned()));
    }
    PublicKey::from_str(text).map_err(|_| wrong(format!("{text} is not a point on the curve: a character is wrong")))
}

fn host_and_port(text: &str) -> std::result::Result<(String, u16), &'static str> {
    if text.contains('@') {
        return Err("leave out the part up to the '@'; the node id is lspNodeId");
    }
    if text.contains("://") {
        return Err("it has no scheme");
    }
    let parsed = authority(text)?;
    Ok((parsed.host.plain(), parsed.port.ok_or("the port is missing")?))
}

/// The protocol is found by asking the LSP, and LSPS4 is what there is to find.
pub(super) fn protocol(text: Option<&str>) -> Result<()> {
    match text {
        None | Some("auto" | "lsps4") => Ok(()),
        Some("lsps2") => Err(Error::option(
            "lspProtocol",
            "lspProtocol is 'lsps2', which this version does not have; 'lsps4' and 'auto' it has",
        )),
        Some(other) => Err(Error::option(
            "lspProtocol",
            format!("lspProtocol is {}; it must be 'auto' or 'lsps4'{}", shown(other), stray(other)),
        )),
    }
}

pub(super) fn jit_route(raw: &RawJitRoute) -> Result<JitRoute> {
    let scid = scid::parse(&raw.scid).map_err(|what| {
        let message = format!("jitRoute.scid is {}: {what}{}", shown(&raw.scid), stray(&raw.scid));
        Error::option("jitRoute.scid", message)
    })?;
    let name = "jitRoute.cltvExpiryDelta";
    let delta = safe_integer(name, raw.cltv_expiry_delta, 1..=MAX_CLTV_EXPIRY_DELTA)?;
    let cltv_expiry_delta =
        u16::try_from(delta).map_err(|_| Error::option(name, "jitRoute.cltvExpiryDelta is too big"))?;
    Ok(JitRoute { scid, cltv_expiry_delta })
}
