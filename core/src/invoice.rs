//! Stateless BOLT 11: an invoice is computed from keys, a JIT route and the clock; nothing is stored, opened or asked (P1).
//!
//! The payment secret carries amount and expiry, encrypted and authenticated by the wallet's own key, and the preimage is
//! derived again when the payment comes. So a wallet may mint in any number of processes at once, and a payment is
//! recognised by a node that has never seen the invoice.
//!
//! What must hold: the only way in is one hint hop through the LSP's intercept scid; the amount that the payer declares is
//! enforced by LDK at the claim; no argument, however odd, panics.

use crate::error::{Code, Error, Result};
use crate::keys::Keys;
use crate::lsp::JitRoute;
use crate::{clock, entropy};
use bitcoin::hashes::{sha256, Hash};
use bitcoin::secp256k1::PublicKey;
use bitcoin::Network;
use lightning::ln::inbound_payment;
use lightning::sign::EntropySource;
use lightning_invoice::{Bolt11Invoice, Currency, InvoiceBuilder, RawBolt11Invoice};
use lightning_types::payment::{PaymentHash, PaymentSecret};
use lightning_types::routing::{RouteHint, RouteHintHop, RoutingFees};
use std::time::Duration;

/// How many blocks before its HTLC's expiry a payment must arrive: about a day. LDK's least (42) would be lost to a wallet
/// that sleeps: between the payment's arrival and the next boot hours may pass, and each block counts down.
///
/// Only the invoice asks for it. In the payment secret LDK would *enforce* it at the claim, and one block mined while we
/// wake would fail a payment that arrived in time.
pub const MIN_FINAL_CLTV_EXPIRY_DELTA: u16 = 144;

/// What one BOLT 11 field holds: 1023 groups of 5 bits.
pub const MAX_DESCRIPTION_BYTES: usize = 639;

/// A year. A stateless invoice can't be withdrawn, and its route is good for as long as the LSP keeps its scid.
pub const MAX_EXPIRY_SECS: u32 = 365 * 24 * 60 * 60;

/// BOLT 11 counts in tenths of a millisatoshi, and LDK holds them in 64 bits: 18.4 million bitcoin.
pub const MAX_AMOUNT_MSAT: u64 = u64::MAX / 10;

/// What to mint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MintRequest {
    /// Millisatoshi; `None` lets the payer choose.
    pub amount_msat: Option<u64>,
    /// Any UTF-8 of at most 639 bytes without a null character, shown to the payer.
    pub description: String,
    /// Seconds, 1 to a year.
    pub expiry_secs: u32,
}

/// A minted invoice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invoice {
    /// The invoice's text.
    pub bolt11: String,
    /// 64 hexadecimal characters.
    pub payment_hash: String,
    /// Wall time in milliseconds since 1970.
    pub expires_at_ms: u64,
    /// The route's scid.
    pub scid: u64,
    /// Millisatoshi, as asked for.
    pub amount_msat: Option<u64>,
}

/// Mints an invoice that is paid through `route` of the LSP. Pure computation, well under a millisecond.
///
/// `INVALID_ARGUMENT` for `amountMsat` (0, or more than an invoice can say), `description` (too long, or with a null
/// character) or `expirySecs` (0, or over a year).
pub fn mint(
    keys: &Keys,
    network: Network,
    lsp_node_id: PublicKey,
    route: &JitRoute,
    request: &MintRequest,
) -> Result<Invoice> {
    mint_at(clock::now(), keys, network, lsp_node_id, route, request)
}

fn mint_at(
    now: Duration,
    keys: &Keys,
    network: Network,
    lsp_node_id: PublicKey,
    route: &JitRoute,
    request: &MintRequest,
) -> Result<Invoice> {
    check(request)?;
    // Invoices count in whole seconds, and LDK adds to them without looking.
    let now = Duration::from_secs(now.as_secs());
    if now.as_secs() > lightning_invoice::MAX_TIMESTAMP {
        return Err(internal("this machine's clock is later than an invoice can say"));
    }
    let (hash, secret) = inbound_payment::create(
        keys.expanded_key(),
        request.amount_msat,
        request.expiry_secs,
        &&FreshEntropy,
        now.as_secs(),
        None,
    )
    .map_err(|()| internal("LDK refused the payment secret"))?;
    let raw = unsigned(now, currency(network)?, hint(lsp_node_id, route), hash, secret, request)?;
    let signature = keys.sign_invoice(&raw)?;
    let signed = raw.sign(|_| Ok::<_, Error>(signature))?;
    // Also verifies the signature: a bad one would be an invoice that nobody can pay.
    let invoice = Bolt11Invoice::from_signed(signed).map_err(internal)?;
    let expires_at = now.saturating_add(Duration::from_secs(request.expiry_secs.into()));
    tracing::debug!(payment_hash = %invoice.payment_hash(), amount_msat = request.amount_msat, "minted an invoice");
    Ok(Invoice {
        bolt11: invoice.to_string(),
        payment_hash: invoice.payment_hash().to_string(),
        expires_at_ms: u64::try_from(expires_at.as_millis()).unwrap_or(u64::MAX),
        scid: route.scid,
        amount_msat: request.amount_msat,
    })
}

fn check(request: &MintRequest) -> Result<()> {
    match request.amount_msat {
        Some(0) => {
            let message = "amountMsat is 0; it must be at least 1 (for an invoice without an amount use the variable-amount method)";
            return Err(Error::argument("amountMsat", message));
        }
        Some(amount) if amount > MAX_AMOUNT_MSAT => {
            let message =
                format!("amountMsat is {amount}; it must be at most {MAX_AMOUNT_MSAT} (18.4 million bitcoin)");
            return Err(Error::argument("amountMsat", message));
        }
        _ => {}
    }
    let bytes = request.description.len();
    if bytes > MAX_DESCRIPTION_BYTES {
        let message = format!(
            "description has {bytes} bytes in UTF-8; an invoice holds {MAX_DESCRIPTION_BYTES} (characters outside ASCII take 2 to 4)"
        );
        return Err(Error::argument("description", message));
    }
    if request.description.contains('\0') {
        let message = "description contains a null character, where many wallets end the text; remove it";
        return Err(Error::argument("description", message));
    }
    let expiry = request.expiry_secs;
    if expiry == 0 || expiry > MAX_EXPIRY_SECS {
        let message = format!("expirySecs is {expiry}; it must be from 1 to {MAX_EXPIRY_SECS} (a year), in seconds");
        return Err(Error::argument("expirySecs", message));
    }
    Ok(())
}

/// The LSP takes its fee from what it forwards (the skim), not from the payer, and says nothing of limits.
fn hint(lsp_node_id: PublicKey, route: &JitRoute) -> RouteHint {
    RouteHint(vec![RouteHintHop {
        src_node_id: lsp_node_id,
        short_channel_id: route.scid,
        fees: RoutingFees { base_msat: 0, proportional_millionths: 0 },
        cltv_expiry_delta: route.cltv_expiry_delta,
        htlc_minimum_msat: None,
        htlc_maximum_msat: None,
    }])
}

fn unsigned(
    now: Duration,
    currency: Currency,
    hint: RouteHint,
    hash: PaymentHash,
    secret: PaymentSecret,
    request: &MintRequest,
) -> Result<RawBolt11Invoice> {
    let builder = InvoiceBuilder::new(currency)
        .description(request.description.clone())
        .payment_hash(sha256::Hash::from_byte_array(hash.0))
        .payment_secret(secret)
        .duration_since_epoch(now)
        .expiry_time(Duration::from_secs(request.expiry_secs.into()))
        .min_final_cltv_expiry_delta(MIN_FINAL_CLTV_EXPIRY_DELTA.into())
        .private_route(hint);
    let builder = match request.amount_msat {
        // Without an amount nobody knows when all parts are there: so parts only with one.
        Some(amount) => builder.amount_milli_satoshis(amount).basic_mpp(),
        None => builder,
    };
    builder.build_raw().map_err(internal)
}

fn currency(network: Network) -> Result<Currency> {
    match network {
        Network::Bitcoin => Ok(Currency::Bitcoin),
        Network::Testnet => Ok(Currency::BitcoinTestnet),
        Network::Signet => Ok(Currency::Signet),
        Network::Regtest => Ok(Currency::Regtest),
        other => Err(internal(format!("no BOLT 11 prefix for {other}"))),
    }
}

/// Drawn anew for each invoice, so that a cloned process never repeats a payment hash.
struct FreshEntropy;

impl EntropySource for FreshEntropy {
    fn get_secure_random_bytes(&self) -> [u8; 32] {
        entropy::random()
    }
}

fn internal(what: impl std::fmt::Display) -> Error {
    Error::new(Code::Internal, format!("minting failed: {what}"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::print_stderr, reason = "tests")]
#[path = "invoice_tests.rs"]
mod tests;
