//! Short channel ids as LSPS messages and options write them (`512345x1203x5`) and as LDK counts them
//! (`block << 40 | transaction << 16 | output`). BOLT 7, "Definition of `short_channel_id`".
//!
//! An intercept scid names no real channel, so only its form and its ranges can be checked.

/// What is wrong with a text that is no scid; for the end of a sentence.
pub type Reason = &'static str;

const FORM: Reason = "it must be <block>x<transaction>x<output> in decimal digits, as in '512345x1203x5'";
const MAX_BLOCK: u64 = (1 << 24) - 1;
const MAX_TRANSACTION: u64 = (1 << 24) - 1;
const MAX_OUTPUT: u64 = (1 << 16) - 1;

/// Reads a scid.
pub fn parse(text: &str) -> Result<u64, Reason> {
    let mut parts = text.split('x');
    let (Some(block), Some(transaction), Some(output), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(FORM);
    };
    let block = part(block, MAX_BLOCK, "its block must be at most 16777215 (24 bits)")?;
    let transaction = part(
        transaction,
        MAX_TRANSACTION,
        "its transaction must be at most 16777215 (24 bits)",
    )?;
    let output = part(output, MAX_OUTPUT, "its output must be at most 65535 (16 bits)")?;
    Ok(block << 40 | transaction << 16 | output)
}

/// Writes a scid; `parse` reads it back.
pub fn format(scid: u64) -> String {
    format!(
        "{}x{}x{}",
        scid >> 40,
        (scid >> 16) & MAX_TRANSACTION,
        scid & MAX_OUTPUT
    )
}

fn part(text: &str, max: u64, too_big: Reason) -> Result<u64, Reason> {
    // `u64::from_str` would take a leading '+'.
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(FORM);
    }
    // Only digits: what fails to parse is too big.
    text.parse().ok().filter(|value| *value <= max).ok_or(too_big)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
#[path = "scid_tests.rs"]
mod tests;
